#ifndef SYNCNAS_ANDROID_SIGNAL_H
#define SYNCNAS_ANDROID_SIGNAL_H

#define SIGPIPE 13
#define SIG_IGN ((void (*)(int))1)

void (*signal(int number, void (*handler)(int)))(int);

#endif
