/* A battery of TestU01 over the 32-bit words of standard input: testu01 SmallCrush|Crush.
   Prints a line "p <tab> statistic <tab> p-value" for each statistic, among the lines that the library itself prints. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bbattery.h"
#include "swrite.h"
#include "unif01.h"

static uint32_t words[1 << 16];
static size_t next_word, word_count;

static unsigned long bits(void *parameters, void *state)
{
    (void)parameters, (void)state;
    if (next_word == word_count) {
        word_count = fread(words, sizeof *words, sizeof words / sizeof *words, stdin);
        next_word = 0;
        if (word_count == 0) {
            fputs("the words ended before the battery did\n", stderr);
            exit(1);
        }
    }
    return words[next_word++];
}

static double fraction(void *parameters, void *state)
{
    return bits(parameters, state) / unif01_NORM32;
}

static void write_nothing(void *state)
{
    (void)state;
}

int main(int count, char **arguments)
{
    char name[] = "standard input";
    unif01_Gen generator = {NULL, NULL, name, fraction, bits, write_nothing};

    swrite_Basic = FALSE;
    if (count == 2 && strcmp(arguments[1], "SmallCrush") == 0)
        bbattery_SmallCrush(&generator);
    else if (count == 2 && strcmp(arguments[1], "Crush") == 0)
        bbattery_Crush(&generator);
    else {
        fputs("usage: testu01 SmallCrush|Crush < words\n", stderr);
        return 2;
    }
    for (int i = 0; i < bbattery_NTests; i++)
        printf("p\t%s\t%.17g\n", bbattery_TestNames[i], bbattery_pVal[i]);
    return 0;
}
