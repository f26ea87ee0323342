# Compiler and linker, fixed so that the binaries come out byte for byte
CC = gcc
FLAGS = -std=gnu11 -O2 -m64 -march=x86-64 -mtune=generic -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -ffreestanding -fno-pic -no-pie \
  -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident -fno-strict-aliasing \
  -fno-tree-vectorize -fno-tree-loop-distribute-patterns -fno-reorder-functions -fno-optimize-sibling-calls -Wall -Wextra
LINK = ld -nostdlib -static --build-id=none -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments
