// Stands for macOS's header where system_darwin.c is compiled for this host.
enum { QOS_CLASS_USER_INTERACTIVE = 0x21 };
int pthread_set_qos_class_self_np(int quality, int priority);
