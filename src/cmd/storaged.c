/*
 * storaged: the object store.
 */
#include "storaged/storaged.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    return lh_service_main(&lh_storaged_service, argc, argv);
}
