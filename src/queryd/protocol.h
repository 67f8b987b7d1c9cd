/*
 * What queryd and its worker processes say to each other, in the frames of service/worker.h. A
 * worker runs one query at a time:
 *
 *   queryd                             worker
 *                                      READY    {"sandbox":"..."}: what the kernel lacks, or ""
 *   START  u64 number, JSON        ->
 *                                  <-  TABLES   only when it reads datasets or searches vectors
 *   DATASET  JSON, one each        ->
 *   HITS     JSON, one each        ->
 *   RUN    JSON                    ->
 *                                  <-  BODY     bytes of the answer, any number of times
 *                                  <-  DONE     JSON, or ERROR (lh_frame_put_error)
 *
 * CANCEL (u64 number) may be sent at any time and as often as one likes; it is void unless that
 * query runs. Every START is answered by exactly one DONE or ERROR, after which the worker is free
 * again. The end of the socket ends the worker.
 *
 *   START    {"query_id","sql","params","format":"json|ndjson|csv","rows_max":0,"started_ns"}
 *   TABLES   {"show_tables":bool,"tables":[{"schema","name","unit":"present|version|timestamp",
 *             "version","time","offset"}],
 *             "searches":[{"index","body","offset"}]}: body is the text that a search takes
 *   DATASET  {"dataset","dataset_id","snapshot","columns":[{"name","type"}],"files":[path]}
 *   HITS     {"hits":[{"id","distance","metadata"}]}: vectord's answer
 *   RUN      {"names":[...]}: for SHOW TABLES; otherwise {}
 *   DONE     {"rows","truncated"}
 */
#ifndef LH_QUERYD_PROTOCOL_H
#define LH_QUERYD_PROTOCOL_H

enum lh_query_frame {
    LH_QUERY_READY = 1,
    LH_QUERY_TABLES,
    LH_QUERY_BODY,
    LH_QUERY_DONE,
    LH_QUERY_ERROR,

    LH_QUERY_START = 16,
    LH_QUERY_DATASET,
    LH_QUERY_RUN,
    LH_QUERY_CANCEL,
    LH_QUERY_HITS,
};

/* Arguments of the worker program, in this order: memory in bytes, threads, spill folder, spill in
 * bytes, then one or more folders that it may read. */
enum {
    LH_QUERY_WORKER_MEMORY = 1,
    LH_QUERY_WORKER_THREADS,
    LH_QUERY_WORKER_SPILL_BYTES,
    LH_QUERY_WORKER_SPILL_DIR,
    LH_QUERY_WORKER_READ_DIRS,
};

#endif
