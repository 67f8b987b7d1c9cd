/*
 * queryd-worker: the process in which queryd's queries run. Started by queryd, one for each query
 * at a time.
 */
#include "queryworker/worker.h"

int main(int argc, char **argv)
{
    return lh_query_worker_main(argc, argv);
}
