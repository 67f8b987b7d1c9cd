/* ingestd-worker: converts one file; started by ingestd. */
#include "ingestworker/worker.h"

int main(void)
{
    return lh_ingestworker_main();
}
