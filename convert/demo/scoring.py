"""Word error rate."""


def edit_ops(ref, hyp):
    """Smallest (substitutions, deletions, insertions) that turn ref into hyp; both are lists of words."""
    row = [(j, 0, 0, j) for j in range(len(hyp) + 1)]
    for i in range(1, len(ref) + 1):
        new = [(i, 0, i, 0)]
        for j in range(1, len(hyp) + 1):
            c, s, d, n = row[j - 1]
            wrong = ref[i - 1] != hyp[j - 1]
            best = (c + wrong, s + wrong, d, n)
            c, s, d, n = row[j]
            best = min(best, (c + 1, s, d + 1, n))
            c, s, d, n = new[j - 1]
            best = min(best, (c + 1, s, d, n + 1))
            new.append(best)
        row = new
    return row[-1][1:]


def wer(pairs):
    """pairs of (reference text, heard text) -> dict with the rate and its parts."""
    pairs = list(pairs)
    total, words, exact = [0, 0, 0], 0, 0
    for ref, hyp in pairs:
        ref, hyp = ref.split(), hyp.split()
        total = [t + k for t, k in zip(total, edit_ops(ref, hyp))]
        words += len(ref)
        exact += ref == hyp
    s, d, i = total
    return dict(wer=(s + d + i) / max(1, words), sub=s, dele=d, ins=i, words=words, items=len(pairs), exact=exact)
