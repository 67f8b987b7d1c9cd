/*
 * vectord: vector indexes.
 *
 *   vectord -config lakehouse.toml
 *   vectord -listen 127.0.0.1:3215 -storaged_url ""      (memory only)
 */
#include "vectord/vectord.h"

#include "service/service.h"

int main(int argc, char **argv)
{
    return lh_service_main(&lh_vectord_service, argc, argv);
}
