// The tie to whoever started the runner: a byte on standard input is an acknowledgement, its end is our end.
#ifndef SYNCNAS_HOST_LINK_H
#define SYNCNAS_HOST_LINK_H

// Start a thread that reads standard input; at its end the process leaves at once, even in mid-run.
// Returns 0, or an errno value.
int host_link_start(void);

// Sleep until one more byte has come.
void host_link_wait(void);

#endif
