/*
 * gateway: the one public door of a lakehouse.
 *
 *   gateway -config lakehouse.toml
 *   gateway -listen 127.0.0.1:3110 -storaged_url http://127.0.0.1:3211 ...
 *
 * What it serves is in src/gateway/api.c; how any service starts, listens and stops is in
 * src/service/service_main.c.
 */
#include "gateway/gateway.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    return lh_service_main(&lh_gateway_service, argc, argv);
}
