/*
 * Faults on purpose: a table for `lh_io` that counts the calls on files and fails a chosen one.
 *
 *   for (uint64_t n = 1;; n++) {
 *       lh_fault_start(&(struct lh_fault){.calls = LH_FAULT_CHANGES, .fail_at = n, .error = EIO});
 *       lh_code code = lh_thing_save(...);
 *       uint64_t count = lh_fault_stop();
 *       ... the thing is the old one or the new one ...
 *       if (count < n) { assert_int_equal(code, LH_OK); break; }
 *   }
 *
 * One plan at a time in a process; the counters are atomic, so threads may do the calls.
 */
#ifndef LH_TESTS_SUPPORT_FAULT_H
#define LH_TESTS_SUPPORT_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sanitizer makes each run cost its tenfold: with the first error every call fails in turn there,
 * with the others one of so many. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LH_FAULT_STEP 3
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LH_FAULT_STEP 3
#endif
#endif
#ifndef LH_FAULT_STEP
#define LH_FAULT_STEP 1
#endif

enum lh_fault_call {
    LH_FAULT_OPEN = 1 << 0,
    LH_FAULT_READ = 1 << 1,  /* read, pread */
    LH_FAULT_WRITE = 1 << 2, /* write, pwrite */
    LH_FAULT_SYNC = 1 << 3,  /* fsync, fdatasync */
    LH_FAULT_TRUNCATE = 1 << 4,
    LH_FAULT_ALLOCATE = 1 << 5,
    LH_FAULT_LINK = 1 << 6,
    LH_FAULT_RENAME = 1 << 7,
    LH_FAULT_UNLINK = 1 << 8,
    LH_FAULT_MKDIR = 1 << 9,
    LH_FAULT_STAT = 1 << 10,

    /* Everything that changes what is on the disk. */
    LH_FAULT_CHANGES = LH_FAULT_OPEN | LH_FAULT_WRITE | LH_FAULT_SYNC | LH_FAULT_TRUNCATE |
                       LH_FAULT_ALLOCATE | LH_FAULT_LINK | LH_FAULT_RENAME | LH_FAULT_UNLINK |
                       LH_FAULT_MKDIR,
    LH_FAULT_ALL = (1 << 11) - 1,
};

struct lh_fault {
    unsigned calls;           /* which are counted and failed, enum lh_fault_call */
    uint64_t fail_at;         /* the n-th counted call fails, 1-based; 0 = none */
    bool for_ever;            /* and each one after it */
    int error;                /* errno of the failure */
    size_t transfer_max;      /* reads and writes move at most so many bytes; 0 = all of them */
    uint64_t interrupt_every; /* each n-th read and write answers EINTR first; 0 = never */
};

/* Puts the table in place and sets the count to 0. close is never failed: it always closes. */
void lh_fault_start(const struct lh_fault *plan);

/* Puts the real table back and returns how many calls were counted. */
uint64_t lh_fault_stop(void);

uint64_t lh_fault_count(void);

/* Files that were opened through the table since the start and not closed yet. */
int64_t lh_fault_open_files(void);

#endif
