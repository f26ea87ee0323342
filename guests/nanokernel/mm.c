/* Memory: the page pool, page tables, VMAs, demand faults, copy-on-write, fork's copy and exit's teardown.
 * Written to do what Linux 2.6.18 does to page tables, in the same order and one entry at a time (no batching);
 * every access to an entry goes through pv.*, which is where native and PV differ. */
#include "kernel.h"

u16 page_ref[MAX_PFN];
u64 *p2m, *m2p;
struct mm init_mm;
static u8 pool[POOL_PAGES][PAGE] __attribute__((section(".bss.pool"), aligned(4096)));
static void *free_pages[SCATTER_PAGES > POOL_PAGES ? SCATTER_PAGES : POOL_PAGES];
static u32 nfree;
#define NVMA 128
#define NMM 8
static struct vma vma_slab[NVMA], *vma_free;
static struct mm mm_slab[NMM];

void mm_init(void)
{
    for (u32 i = 0; i < MAX_PFN; i++) page_ref[i] = 1;              /* the image: never freed */
    for (u32 i = POOL_PAGES; i-- > 0;) { free_pages[nfree++] = pool[i]; *refp(pool[i]) = 0; }
    for (u32 i = 0; i < NVMA; i++) { vma_slab[i].next = vma_free; vma_free = &vma_slab[i]; }
}
/* From now on pages come from all over [first, end): as on a Linux that has been up for a while, neighbours in use are not
 * neighbours in memory. One page in each of SCATTER_PAGES equal stretches, handed out in no order; `seed=N` draws others. */
void mm_scatter(u64 first, u64 end)
{
    if (end > MAX_PFN) end = MAX_PFN;
    if (end < first + 4 * SCATTER_PAGES) return;            /* a small memory: the pool goes on */
    u64 stretch = (end - first) / SCATTER_PAGES, x = opt_num("seed", 0) * 0x9e3779b97f4a7c15UL + 0x2545f4914f6cdd1dUL;
    nfree = 0;
    for (u64 i = 0; i < SCATTER_PAGES; i++) {
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        u64 pfn = first + i * stretch + x % stretch;
        page_ref[pfn] = 0;
        u32 at = x / stretch % (nfree + 1);                 /* a random place in the list */
        free_pages[nfree++] = free_pages[at];
        free_pages[at] = __va(pfn << 12);
    }
}
void *page_alloc(void)
{
    if (!nfree) panic("out of pages");
    void *p = free_pages[--nfree];
    *refp(p) = 1;
    return p;
}
void *page_zalloc(void) { void *p = page_alloc(); page_zero(p); cnt.pages_zeroed++; return p; }
void page_put(void *p) { if (--*refp(p) == 0) free_pages[nfree++] = p; }

/* ---- page tables ---- */
static inline u32 idx(u64 va, int level) { return va >> (12 + 9 * (level - 1)) & 511; }

u64 *pte_lookup(struct mm *mm, u64 va)
{
    u64 *t = mm->l4;
    for (int level = 4; level > 1; level--) {
        u64 e = t[idx(va, level)];
        if (!(e & P_P)) return NULL;
        t = pte_page(e);
    }
    return &t[idx(va, 1)];
}
static u64 *pte_alloc(struct mm *mm, u64 va)
{
    u64 *t = mm->l4;
    for (int level = 4; level > 1; level--) {
        u64 *e = &t[idx(va, level)];
        if (!(*e & P_P)) {
            void *n = page_zalloc();
            mm->n[level - 1]++;
            pv.populate(mm, e, level == 4 && mm->user_l4 ? &mm->user_l4[idx(va, 4)] : NULL, n);
        }
        t = pte_page(*e);
    }
    return &t[idx(va, 1)];
}
/* calls fn for every table below the root: L3, its L2s, their L1s */
void mm_walk(struct mm *mm, table_fn fn)
{
    for (int i = 0; i < 256; i++) {
        if (!(mm->l4[i] & P_P)) continue;
        u64 *l3 = pte_page(mm->l4[i]);
        fn(l3);
        for (int j = 0; j < 512; j++) {
            if (!(l3[j] & P_P)) continue;
            u64 *l2 = pte_page(l3[j]);
            fn(l2);
            for (int k = 0; k < 512; k++)
                if (l2[k] & P_P) fn(pte_page(l2[k]));
        }
    }
}
/* the address of the entry of a given level, if the tables above it exist */
static u64 *entry_at(struct mm *mm, u64 va, int level)
{
    u64 *t = mm->l4;
    for (int l = 4; l > level; l--) {
        u64 e = t[idx(va, l)];
        if (!(e & P_P)) return NULL;
        t = pte_page(e);
    }
    return &t[idx(va, level)];
}
/* free_pgtables: by the VMAs' ranges, not by scanning; L1 tables first, then L2, then L3 */
static void free_tables(struct mm *mm)
{
    for (int level = 2; level <= 4; level++) {
        u64 step = 1UL << (12 + 9 * (level - 1)), done = 0;
        for (struct vma *v = mm->vmas; v; v = v->next)
            for (u64 va = v->start & ~(step - 1); va < v->end; va += step) {
                if (va < done) continue;
                done = va + step;
                u64 *e = entry_at(mm, va, level);
                if (!e || !(*e & P_P)) continue;
                page_put(pte_page(*e));
                store64(e, 0);
            }
    }
}

/* ---- address spaces ---- */
struct mm *mm_new(void)
{
    struct mm *mm = NULL;
    for (int i = 0; i < NMM && !mm; i++) if (!mm_slab[i].l4) mm = &mm_slab[i];
    if (!mm) panic("out of address spaces");
    memset(mm, 0, sizeof *mm);
    mm->l4 = page_zalloc();
    for (int i = 272; i < 512; i++) mm->l4[i] = init_mm.l4[i];
    mm->n[4] = 1;
    if (is_pv) { mm->user_l4 = page_zalloc(); mm->n[4] = 2; }
    return mm;
}
struct vma *vma_add(struct mm *mm, u64 start, u64 end, u32 flags, struct file *f, u64 pgoff)
{
    struct vma *v = vma_free, **p = &mm->vmas;
    if (!v) panic("out of VMAs");
    vma_free = v->next;
    while (*p && (*p)->start < start) p = &(*p)->next;
    if (*p && (*p)->start < end) panic("VMA overlap at %x", start);
    *v = (struct vma){ *p, start, end, flags, 0, f, pgoff };
    *p = v;
    mm->nvmas++;
    return v;
}
struct vma *vma_find(struct mm *mm, u64 va)
{
    struct vma *v = mm->cache;
    if (v && va >= v->start && va < v->end) return v;
    for (v = mm->vmas; v && v->end <= va; v = v->next);
    if (!v || va < v->start) return NULL;
    return mm->cache = v;
}
static u64 prot_of(struct vma *v, int writable)
{
    u64 p = P_P | P_US | P_A;
    if (writable) p |= P_RW | P_D;
    if (!(v->flags & V_X)) p |= P_NX;
    return p;
}

/* ---- the page fault ---- */
static void fault_file(struct mm *mm, struct vma *v, u64 va, u64 *ptep)      /* read or execute: map the page-cache page */
{
    void *page = v->file->page[v->pgoff + ((va - v->start) >> 12)];
    ++*refp(page);
    pv.set_pte(mm, va, ptep, mk_pte(page, prot_of(v, 0)));
}
static void fault_private(struct mm *mm, struct vma *v, u64 va, u64 *ptep)   /* first write to a private page */
{
    void *page;
    if (v->file) {
        page = page_alloc();
        page_copy(page, v->file->page[v->pgoff + ((va - v->start) >> 12)]);
        cnt.pages_copied++;
        cnt.f_private++;
    } else {
        page = page_zalloc();
        cnt.f_anon++;
    }
    v->anon_vma = 1;
    pv.set_pte(mm, va, ptep, mk_pte(page, prot_of(v, 1)));
}
static void fault_write(struct mm *mm, struct vma *v, u64 va, u64 *ptep)     /* do_wp_page */
{
    void *old = pte_page(*ptep);
    if (*refp(old) == 1) {
        cnt.f_reuse++;
        pv.set_access(mm, va, ptep, mk_pte(old, prot_of(v, 1)));
        return;
    }
    void *page = page_alloc();
    page_copy(page, old);
    cnt.pages_copied++;
    cnt.f_cow++;
    v->anon_vma = 1;
    pv.xchg_pte(mm, ptep, 0);
    pv.flush_page(va);
    pv.set_pte(mm, va, ptep, mk_pte(page, prot_of(v, 1)));
    page_put(old);
}
void do_page_fault(struct regs *r)
{
    u64 addr = pv.cr2(), va = addr & ~(PAGE - 1);
    struct mm *mm = current->mm;
    struct vma *v = mm && addr < 1UL << 47 ? vma_find(mm, addr) : NULL;
    int user = r->cs & 3, write = r->err & 2, exec = r->err & 16 || (user && r->rip == addr);
    standin(S_FAULT);
    if (!v || (write && !(v->flags & V_W)) || (exec && !(v->flags & V_X)) || !(v->flags & 7))
        panic("page fault at %x rip %x error %x cs %x rsp %x pid %u", addr, r->rip, r->err, r->cs, r->rsp, (u64)(current ? current->pid : 0));
    if (!user) cnt.f_kernel++;
    if (current->pid == 1) cnt.f_parent++; else cnt.f_child++;
    u64 *ptep = pte_alloc(mm, va);
    if (*ptep & P_P) {
        if (!write || *ptep & P_RW) panic("spurious page fault at %x error %x entry %x", addr, r->err, *ptep);
        fault_write(mm, v, va, ptep);
    } else if (v->file && (!write || v->flags & V_SHARED)) {
        if (exec) cnt.f_exec++; else cnt.f_read++;
        fault_file(mm, v, va, ptep);
    } else if (!write) panic("read of an untouched anonymous page at %x", addr);
    else fault_private(mm, v, va, ptep);
}

/* ---- fork: copy_page_range for VMAs that have anonymous pages; file pages fault in again ---- */
static void copy_range(struct mm *dst, struct mm *src, struct vma *v)
{
    for (u64 va = v->start; va < v->end;) {
        u64 next = (va + (1UL << 21)) & ~((1UL << 21) - 1), *s = pte_lookup(src, va), *d;
        if (next > v->end) next = v->end;
        if (!s) { va = next; continue; }
        d = pte_alloc(dst, va);
        for (; va < next; va += PAGE, s++, d++) {
            u64 e = *s;
            if (!(e & P_P)) continue;
            if (e & P_RW && !(v->flags & V_SHARED)) {
                cnt.wrprotected++;
                e &= ~(P_RW | P_D);
                pv.store_pte(src, s, e);
            }
            ++*refp(pte_page(e));
            cnt.ptes_copied++;
            store64(d, e & ~P_G);
        }
    }
}
struct mm *mm_dup(struct mm *old)
{
    struct mm *mm = mm_new();
    struct vma **tail = &mm->vmas;
    for (struct vma *v = old->vmas; v; v = v->next) {
        struct vma *n = vma_free;
        if (!n) panic("out of VMAs");
        vma_free = n->next;
        *n = *v;
        n->next = NULL;
        *tail = n;
        tail = &n->next;
        mm->nvmas++;
        if (v->anon_vma) copy_range(mm, old, v);
    }
    pv.flush_mm(old);
    pv.pin(mm);
    cnt.fork_l3 += mm->n[3]; cnt.fork_l2 += mm->n[2]; cnt.fork_l1 += mm->n[1];
    cnt.fork_vmas += mm->nvmas;
    return mm;
}

/* ---- teardown ---- */
static void zap_range(struct mm *mm, struct vma *v, int live)
{
    for (u64 va = v->start; va < v->end;) {
        u64 next = (va + (1UL << 21)) & ~((1UL << 21) - 1), *p = pte_lookup(mm, va);
        if (next > v->end) next = v->end;
        if (!p) { va = next; continue; }
        for (; va < next; va += PAGE, p++) {
            u64 e = *p;
            if (!(e & P_P)) continue;
            if (live) e = pv.xchg_pte(mm, p, 0); else store64(p, 0);
            void *page = pte_page(e);
            if (v->file && page == v->file->page[v->pgoff + ((va - v->start) >> 12)]) cnt.file_ptes_zapped++;
            else cnt.anon_ptes_zapped++;
            page_put(page);
        }
    }
}
static void vma_release(struct vma *v) { v->next = vma_free; vma_free = v; }

/* exit_mmap: everything but the roots, which the processor may still be using */
void mm_exit(struct mm *mm)
{
    cnt.exit_l3 += mm->n[3]; cnt.exit_l2 += mm->n[2]; cnt.exit_l1 += mm->n[1];
    pv.exit_mm(mm);
    for (struct vma *v = mm->vmas; v; v = v->next) zap_range(mm, v, 0);
    pv.exit_done(mm);
    free_tables(mm);
    for (struct vma *v = mm->vmas, *n; v; v = n) { n = v->next; vma_release(v); }
    mm->vmas = mm->cache = NULL;
}
void mm_drop(struct mm *mm)
{
    if (mm->user_l4) page_put(mm->user_l4);
    page_put(mm->l4);
    mm->l4 = mm->user_l4 = NULL;
}
long mm_unmap(struct mm *mm, u64 start)                                      /* whole VMAs only */
{
    struct vma **p = &mm->vmas, *v;
    while (*p && (*p)->start != start) p = &(*p)->next;
    if (!(v = *p)) return -22;
    zap_range(mm, v, 1);
    pv.flush_mm(mm);
    *p = v->next;
    if (mm->cache == v) mm->cache = NULL;
    mm->nvmas--;
    vma_release(v);
    return 0;
}
long mm_protect(struct mm *mm, u64 start, u32 flags)
{
    struct vma *v = mm->vmas;
    while (v && v->start != start) v = v->next;
    if (!v) return -22;
    v->flags = flags;
    for (u64 va = v->start; va < v->end; va += PAGE) {
        u64 *p = pte_lookup(mm, va);
        if (p && *p & P_P) pv.store_pte(mm, p, mk_pte(pte_page(*p), prot_of(v, 0)));
    }
    pv.flush_mm(mm);
    return 0;
}
