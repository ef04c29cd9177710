#ifndef SYNCNAS_ANDROID_CTYPE_H
#define SYNCNAS_ANDROID_CTYPE_H

int isalnum(int character);
int isspace(int character);

#endif
