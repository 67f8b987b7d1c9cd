/*
 * Telling the one who started us how far we are: a supervisor of ours by a pipe, systemd by its
 * socket.
 */
#ifndef LH_SERVICE_NOTIFY_H
#define LH_SERVICE_NOTIFY_H

/* Takes LAKEHOUSE_NOTIFY_FD out of the environment. Once at start, before threads. */
void lh_notify_open(void);
/* One line ("ready\n") into the supervisor's pipe; nothing happens without one. */
void lh_notify_line(const char *line);
void lh_notify_close(void);

/* One state ("READY=1") to systemd (sd_notify(3)); nothing happens without NOTIFY_SOCKET. */
void lh_notify_systemd(const char *state);

#endif
