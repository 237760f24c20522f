#include "walrelay/pgoutput/stream_reader.hpp"

#include <limits>

#include "walrelay/core/planted.hpp"

namespace walrelay::pgoutput {

namespace {

/// The message itself was well-formed: what is wrong is its place or what it says, not one of its
/// bytes.
protocol_error refused(protocol_error::kind what, char tag, const char* why) noexcept {
    return {what, tag, why, 0};
}

protocol_error wrong_width(char tag) noexcept {
    return refused(protocol_error::kind::mismatch, tag, "a row has not its Relation's columns");
}

}  // namespace

decoded<stream_event> stream_reader::read(std::span<const std::byte> payload) {
    const decoded<copy_frame> frame = read_copy_frame(payload);
    if (!frame) return frame.error();
    if (const auto* const alive = std::get_if<keepalive>(&*frame)) return stream_event{*alive};
    const decoded<message> came = decode(std::get_if<xlog_data>(&*frame)->message);
    if (!came) return came.error();
    return std::visit([this](const auto& one) { return on(one); }, *came);
}

stream_reader::answer stream_reader::on(const begin& opened) {
    if (open_) {
        return refused(protocol_error::kind::out_of_sequence, 'B', "a transaction is open");
    }
    // Checked here and not at Commit, because rows are sent on as they arrive. Equality is in
    // order: the next record may start where the last one ends.
    if (opened.commit_lsn < last_end_) {
        return refused(protocol_error::kind::mismatch, 'B',
                       "commit_lsn is behind an earlier commit");
    }
    open_ = transaction{opened.commit_lsn, opened.commit_time, opened.xid};
    next_ordinal_ = 0;
    return stream_event{transaction_began{*open_}};
}

stream_reader::answer stream_reader::on(const commit& closed) {
    if (!open_) {
        return refused(protocol_error::kind::out_of_sequence, 'C', "no transaction is open");
    }
    if (closed.commit_lsn != open_->commit_lsn) {
        return refused(protocol_error::kind::mismatch, 'C', "commit_lsn is not that of Begin");
    }
    // A commit record has a size; acknowledging an end at its start would bring the transaction
    // again.
    if (closed.end_lsn <= closed.commit_lsn) {
        return refused(protocol_error::kind::mismatch, 'C', "end_lsn is not after commit_lsn");
    }
    open_.reset();
    last_end_ = closed.end_lsn;
    if (planted(bug::commit_lsn_acknowledged)) last_end_ = closed.commit_lsn;
    return stream_event{transaction_committed{last_end_}};
}

stream_reader::answer stream_reader::on(const origin&) {
    if (!open_) {
        return refused(protocol_error::kind::out_of_sequence, 'O', "no transaction is open");
    }
    return stream_event{nothing_new{}};
}

stream_reader::answer stream_reader::on(const relation_view& described) {
    const auto put = relations_.put(described);
    if (!put) return put.error();
    if (planted(bug::ordinal_restarts_at_relation)) next_ordinal_ = 0;
    return stream_event{relation_changed{relations_.find(described.id)}};
}

stream_reader::answer stream_reader::on(const type& described) {
    relations_.note(described);
    return stream_event{nothing_new{}};
}

stream_reader::answer stream_reader::on(const insert& change) {
    const table_pointer table = table_of(change.relation_id);
    if (table == nullptr) return no_table('I');
    if (change.row.size() != (*table)->columns.size()) return wrong_width('I');
    // (commit LSN, ordinal) identifies a row: it must not come twice in one transaction.
    if (next_ordinal_ == std::numeric_limits<std::uint32_t>::max()) {
        return refused(protocol_error::kind::bad_value, 'I', "more rows than ordinals");
    }
    if (planted(bug::ordinal_lost) && next_ordinal_ > 0) --next_ordinal_;
    return stream_event{row_inserted{table, change.row, next_ordinal_++}};
}

stream_reader::answer stream_reader::on(const update& change) {
    const table_pointer table = table_of(change.relation_id);
    if (table == nullptr) return no_table('U');
    const std::size_t width = (*table)->columns.size();
    if (change.row.size() != width) return wrong_width('U');
    if (change.old_kind != 0 && change.old_row.size() != width) return wrong_width('U');
    return stream_event{change_ignored{change_ignored::kind::update, table}};
}

stream_reader::answer stream_reader::on(const remove& change) {
    const table_pointer table = table_of(change.relation_id);
    if (table == nullptr) return no_table('D');
    if (change.old_row.size() != (*table)->columns.size()) return wrong_width('D');
    return stream_event{change_ignored{change_ignored::kind::remove, table}};
}

stream_reader::answer stream_reader::on(const truncate& change) {
    for (std::uint32_t i = 0; i < change.count; ++i) {
        if (const table_pointer table = table_of(change.relation_id(i))) {
            return stream_event{change_ignored{change_ignored::kind::truncate, table}};
        }
    }
    return no_table('T');
}

stream_reader::answer stream_reader::on(const logical_message& emitted) {
    if (emitted.transactional && !open_) {
        return refused(protocol_error::kind::out_of_sequence, 'M',
                       "a transactional message, and no transaction is open");
    }
    if (!emitted.transactional) {
        // Protocol 1 sends a transaction in one piece: what is outside of it can't come in between.
        if (open_) {
            return refused(protocol_error::kind::out_of_sequence, 'M',
                           "a message outside transactions, and one is open");
        }
        if (emitted.position <= last_end_) {
            return refused(protocol_error::kind::mismatch, 'M', "lsn is not after the last unit");
        }
        last_end_ = emitted.position;
    }
    return stream_event{
        message_emitted{emitted.transactional, emitted.position, emitted.prefix, emitted.content}};
}

stream_reader::table_pointer stream_reader::table_of(std::uint32_t relation_id) const noexcept {
    return open_ ? relations_.find(relation_id) : nullptr;
}

protocol_error stream_reader::no_table(char tag) const noexcept {
    return refused(protocol_error::kind::out_of_sequence, tag,
                   open_ ? "its table had no Relation message" : "no transaction is open");
}

}  // namespace walrelay::pgoutput
