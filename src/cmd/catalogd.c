/*
 * catalogd: the catalog of datasets.
 */
#include "catalogd/catalogd.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    return lh_service_main(&lh_catalogd_service, argc, argv);
}
