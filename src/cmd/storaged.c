/*
 * storaged: the object store.
 */
#include "storaged/storaged.h"

#include <string.h>

#include "service/service.h"
#include "storaged/scrub.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return lh_storaged_check_main(argc - 2, argv + 2);
    return lh_service_main(&lh_storaged_service, argc, argv);
}
