// The loader reads from this note which API level the file was made for: the compiler's target has it.

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

__asm__(".section .note.android.ident, \"a\", %note\n"
        ".balign 4\n"
        ".long 8, 4, 1\n"  // bytes of the name, bytes of the content, type
        ".asciz \"Android\"\n"
        ".long " TEXT(__ANDROID_MIN_SDK_VERSION__) "\n"
        ".previous\n");
