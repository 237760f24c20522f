// What is looked at now and then while the stream flows.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "walrelay/relay/relay.hpp"
#include "walrelay/relay/standby.hpp"

namespace walrelay::relay {

namespace asio = boost::asio;

namespace {

constexpr duration catalog_period = std::chrono::seconds{10};

}  // namespace

/// While nothing moves, the server's stop can only be seen by asking it. The connection isn't kept:
/// an idle one would hold up a smart shutdown.
asio::awaitable<void> relay::probe_server() {
    const bool nothing_moves = !desk_.moves(now(), probe_period);
    if (!(nothing_moves || intake_->rows().paused()) || now() - last_probe_ < probe_period)
        co_return;
    last_probe_ = now();
    const bool stopping = co_await server_is_stopping(loop_.get_executor(), model_.source);
    if (stopping) {
        server_stopping_ = true;
        wakeup_.notify();
    }
}

/// While a paused sink keeps a limit full nothing is read, also no mark that would resume it.
asio::awaitable<void> relay::look_for_pauses() {
    const engine::engine& decisions = desk_.decisions();
    bool any_paused = false;
    for (std::size_t index = 0; index < model_.sinks.size(); ++index)
        any_paused = any_paused || decisions.sink(index).paused();
    if (!any_paused || !intake_->rows().paused() || now() - last_pause_look_ < probe_period)
        co_return;
    last_pause_look_ = now();
    std::string purpose = "check";
    auto link = co_await open_to_look(loop_.get_executor(), model_.source, std::move(purpose));
    if (!link) co_return;
    std::string slot = model_.source.slot;
    const auto marks = co_await postgres::read_pauses(**link, std::move(slot));
    if (!marks || !stream_) co_return;
    set_pauses(*marks);
    tick();
}

/// By the newest mark of each sink.
void relay::set_pauses(const std::vector<postgres::pause_mark>& marks) {
    intake::pause_marks newest;
    newest.newest.resize(model_.sinks.size());
    for (std::size_t index = 0; index < model_.sinks.size(); ++index) {
        const auto found = std::find_if(marks.begin(), marks.end(), [&](const auto& mark) {
            return mark.sink == model_.sinks[index].name;
        });
        const bool paused = found != marks.end() && found->paused;
        if (paused != desk_.decisions().sink(index).paused()) {
            spdlog::warn("sink {} {}", model_.sinks[index].name,
                         paused ? "is paused by an operator" : "goes on, by an operator");
        }
        desk_.decisions().set_paused(index, paused);
        if (found != marks.end()) newest.newest[index] = found->mark;
    }
    intake_->rows().set_pauses(std::move(newest));
}

/// Slot and publications, seldom and only if the WAL has moved. An error that ends the stream, or
/// nothing.
asio::awaitable<void> relay::check_catalog() {
    const std::uint64_t wal_end = desk_.decisions().acknowledgements().wal_end().value;
    if (now() - last_catalog_check_ < catalog_period || wal_end == publications_checked_at_)
        co_return;
    last_catalog_check_ = now();
    std::string purpose = "check";
    auto link = co_await open_to_look(loop_.get_executor(), model_.source, std::move(purpose));
    if (!link) co_return;  // the stream itself shows what matters
    auto slot = co_await postgres::read_slot(**link, model_.source.slot);
    if (slot && *slot) {
        slot_retained_bytes_ = (*slot)->retained_bytes;
        if ((*slot)->wal_status == "unreserved") {
            spdlog::error(
                "slot {} is about to be lost: wal_status is unreserved, it holds {} bytes of WAL",
                model_.source.slot, slot_retained_bytes_);
        }
    }
    auto published = co_await postgres::read_publications(**link, model_.source.publications);
    if (!published) co_return;
    publications_checked_at_ = wal_end;
    auto wrong = judge_publications(*published, model_, *routes_);
    if (!wrong) wrong = unpublished_route(*published, model_);
    const std::string text = wrong ? wrong->text() : "";
    if (text != trouble_) {
        if (wrong) {
            spdlog::error("{}", text);
        } else {
            spdlog::info("the publication is as it should be again");
        }
    }
    trouble_ = text;
}

}  // namespace walrelay::relay
