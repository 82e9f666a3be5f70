"""What kernels need to know about a target: which classes it uses, and which states a path can be in."""

from .cache import cached_njit

# nogil: called by kernels that several threads run.
kernel = cached_njit(nogil=True, error_model="numpy", fastmath=False, no_cfunc_wrapper=True)


@kernel
def number_classes(labels, blank, numbers, classes):
    """Number the classes that a target uses: the blank first, then its labels in the order they appear.

    Fills classes[k] with class number k, and numbers[c] with the number of each class c that is used.
    numbers (C,) holds -1 at first. Returns how many classes are used.
    """
    classes[0], numbers[blank], K = blank, 0, 1
    for u in range(len(labels)):
        c = labels[u]
        if numbers[c] < 0:
            classes[K], numbers[c] = c, K
            K += 1
    return K


@kernel
def find_first_frames(labels, first_frames):
    """first_frames[u] = u + repeats(labels[:u + 1]), the first frame at which a path can be in label u.

    A path needs one frame per label, and one more per repeat, for the blank before it. Blank u + 1, after
    label u, is reached one frame later than label u. A path that is in label u at frame t can be in label v
    at frame t + first_frames[v] - first_frames[u], and not earlier.
    """
    repeats = 0
    for u in range(len(labels)):
        if u > 0 and labels[u] == labels[u - 1]:
            repeats += 1
        first_frames[u] = u + repeats


@kernel
def find_windows(first_frames, windows):
    """windows[t] = (first, end): states first..end-1 can be reached at frame t, and can still finish.

    State 2u is blank u, state 2u + 1 is label u. Where the target does not fit, windows may be empty.
    """
    T, U = len(windows), len(first_frames)
    reached = 0  # how many labels can be reached before frame t
    for t in range(T):
        while reached < U and first_frames[reached] < t:
            reached += 1
        windows[t, 1] = 2 * reached + (2 if reached < U and first_frames[reached] == t else 1)
    first = U  # labels first..U-1 can still finish
    for t in range(T - 1, -1, -1):
        spare = T - 1 - t
        while first > 0 and first_frames[U - 1] - first_frames[first - 1] <= spare:
            first -= 1
        # The blank before a label needs one frame more than the label does.
        just = first < U and first_frames[U - 1] - first_frames[first] == spare
        windows[t, 0] = 2 * first + (1 if just else 0)
