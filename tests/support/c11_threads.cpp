// librdkafka starts its threads by C11's functions, which ThreadSanitizer doesn't know: a thread
// that it didn't see begin crashes it. These stand before glibc's and call what it knows.
#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>
#include <memory>

namespace {

static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) && alignof(mtx_t) >= alignof(int));
static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t) && sizeof(thrd_t) == sizeof(pthread_t));

pthread_mutex_t* mutex(mtx_t* given) {
    return reinterpret_cast<pthread_mutex_t*>(given);
}

pthread_cond_t* condition(cnd_t* given) {
    return reinterpret_cast<pthread_cond_t*>(given);
}

int answer(int failure) {
    if (failure == 0) return thrd_success;
    return failure == ETIMEDOUT ? thrd_timedout : failure == EBUSY ? thrd_busy : thrd_error;
}

struct beginning {
    thrd_start_t run;
    void* argument;
};

void* begin(void* given) {
    const std::unique_ptr<beginning> from{static_cast<beginning*>(given)};
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(from->run(from->argument)));
}

}  // namespace

extern "C" {

/// librdkafka isn't instrumented, so TSan doesn't see that it counts references by atomics. The
/// tests' consumer seems to race with the thread that wrote a message and let go of it; and whoever
/// lets go last and destroys a lock, with who used it before.
const char* __tsan_default_suppressions() {
    return "race:walrelay::test::kafka_consumer\n"
           "race:pthread_rwlock_destroy\n";
}

int thrd_create(thrd_t* thread, thrd_start_t run, void* argument) {
    auto from = std::make_unique<beginning>(beginning{run, argument});
    const int failure = pthread_create(thread, nullptr, begin, from.get());
    if (failure == 0) static_cast<void>(from.release());
    return answer(failure);
}

int thrd_join(thrd_t thread, int* result) {
    void* returned = nullptr;
    const int failure = pthread_join(thread, &returned);
    if (result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(returned));
    return answer(failure);
}

int mtx_init(mtx_t* made, int type) {
    pthread_mutexattr_t with;
    pthread_mutexattr_init(&with);
    const bool recursive = (type & mtx_recursive) != 0;
    pthread_mutexattr_settype(&with, recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    const int failure = pthread_mutex_init(mutex(made), &with);
    pthread_mutexattr_destroy(&with);
    return answer(failure);
}

int mtx_lock(mtx_t* given) {
    return answer(pthread_mutex_lock(mutex(given)));
}

int mtx_unlock(mtx_t* given) {
    return answer(pthread_mutex_unlock(mutex(given)));
}

void mtx_destroy(mtx_t* given) {
    pthread_mutex_destroy(mutex(given));
}

int cnd_init(cnd_t* made) {
    return answer(pthread_cond_init(condition(made), nullptr));
}

int cnd_signal(cnd_t* given) {
    return answer(pthread_cond_signal(condition(given)));
}

int cnd_broadcast(cnd_t* given) {
    return answer(pthread_cond_broadcast(condition(given)));
}

int cnd_wait(cnd_t* given, mtx_t* held) {
    return answer(pthread_cond_wait(condition(given), mutex(held)));
}

int cnd_timedwait(cnd_t* given, mtx_t* held, const timespec* until) {
    return answer(pthread_cond_timedwait(condition(given), mutex(held), until));
}

void cnd_destroy(cnd_t* given) {
    pthread_cond_destroy(condition(given));
}

void call_once(once_flag* flag, void (*run)(void)) {
    pthread_once(reinterpret_cast<pthread_once_t*>(flag), run);
}

}  // extern "C"
