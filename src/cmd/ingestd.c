/*
 * ingestd: the intake of files.
 */
#include "ingestd/ingestd.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    return lh_service_main(&lh_ingestd_service, argc, argv);
}
