#ifndef SYNCNAS_ANDROID_MATH_H
#define SYNCNAS_ANDROID_MATH_H

#define isfinite(value) __builtin_isfinite(value)

#endif
