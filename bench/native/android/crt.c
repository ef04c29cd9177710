// What runs before main on Android, where the NDK's crtbegin_dynamic.o is not at hand.
//
// Source: bionic's start-up: the kernel leaves argc, argv, envp and auxv on the stack, and __libc_init
// takes that address, the main function and the arrays of constructors. This program has none of those.

typedef void (*constructor)(void);

struct constructors {
    constructor *preinit, *init, *fini;
};

extern int main(int count, char **arguments);
extern _Noreturn void __libc_init(void *stack, void (*unused)(void), int (*start)(int, char **),
                                  const struct constructors *arrays);

__attribute__((used)) static _Noreturn void start(void *stack) {
    const struct constructors none = {0};
    __libc_init(stack, 0, main, &none);
}

__asm__(".text\n"
        ".globl _start\n"
        ".type _start, %function\n"
        "_start:\n"
        "    mov x29, #0\n"  // the outermost frame
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    b start\n"
        ".size _start, . - _start\n");
