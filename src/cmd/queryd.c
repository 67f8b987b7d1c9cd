/*
 * queryd: SQL over the datasets.
 */
#include "queryd/queryd.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    return lh_service_main(&lh_queryd_service, argc, argv);
}
