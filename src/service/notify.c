/* Telling the one who started us how far we are. */
#include "service/notify.h"

#include "base/mem.h"
#include "base/os.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd = -1;

void lh_notify_open(void)
{
    const char *text = getenv("LAKEHOUSE_NOTIFY_FD");
    uint64_t fd = 0;
    if (text != NULL && lh_str_to_u64(lh_str_from(text), &fd) && fd > 2 && fd < INT_MAX &&
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0)
        notify_fd = (int)fd;
    unsetenv("LAKEHOUSE_NOTIFY_FD"); /* not for processes that we start */
}

void lh_notify_line(const char *line)
{
    if (notify_fd < 0)
        return;
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(lh_write_all(notify_fd, line, strlen(line), "supervisor", &ignored),
              "a supervisor that is gone takes us with it anyway");
}

void lh_notify_close(void)
{
    if (notify_fd >= 0)
        close(notify_fd);
    notify_fd = -1;
}

void lh_notify_systemd(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path != NULL ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, len);
    if (address.sun_path[0] == '@') /* a name of the abstract kind */
        address.sun_path[0] = '\0';
    LH_AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    /* One who does not listen is systemd's own trouble: it will say that the start timed out. */
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
}
