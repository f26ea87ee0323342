/* The file images of the benchmark process, one page-aligned symbol each. */
.macro IMG name, file
.globl img_\name, img_\name\()_end
.balign 4096
img_\name: .incbin "\file"
img_\name\()_end:
.endm
.section .images,"a"
IMG bin_text, "obj/bin_text.img"
IMG ld, "obj/ld_text.img"
IMG libc, "obj/libc_text.img"
IMG libm, "obj/libm_text.img"
IMG bin_data, "obj/bin_data.img"
.section .note.GNU-stack,"",@progbits
