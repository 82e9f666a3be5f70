/* CTC in C, as simple as possible: reads problems as numbers, and solves them in log space.
 *
 * input, for each problem:   T C U blank   U labels   T * C logits (-inf is a number)
 * output, one line for each:   loss   ln Z   T * C numbers of the gradient   T * S numbers of gamma
 *
 * The recursion is that of ctc_scratch/ctc/reference.py. The input is not checked.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double log_add(double a, double b, double c)
{
    double top = fmax(a, fmax(b, c));
    return top == -INFINITY ? top : top + log(exp(a - top) + exp(b - top) + exp(c - top));
}

static int can_skip(const int *ext, int s)
{
    return s >= 2 && ext[s] != ext[s - 2];
}

static void log_softmax(const double *logits, double *log_probs, int T, int C)
{
    for (int t = 0; t < T; t++) {
        double top = -INFINITY, total = 0;
        for (int c = 0; c < C; c++) top = fmax(top, logits[t * C + c]);
        for (int c = 0; c < C; c++) total += exp(logits[t * C + c] - top);
        for (int c = 0; c < C; c++) log_probs[t * C + c] = logits[t * C + c] - top - log(total);
    }
}

static void forward(const double *log_probs, const int *ext, double *log_alpha, int T, int C, int S)
{
    for (int t = 0; t < T; t++)
        for (int s = 0; s < S; s++) {
            const double *before = log_alpha + (t - 1) * S;
            double sum = s < 2 ? 0 : -INFINITY; /* a path begins with the blank or the first label */
            if (t > 0) {
                double stay = before[s];
                double step = s >= 1 ? before[s - 1] : -INFINITY;
                double skip = can_skip(ext, s) ? before[s - 2] : -INFINITY;
                sum = log_add(stay, step, skip);
            }
            log_alpha[t * S + s] = sum + log_probs[t * C + ext[s]];
        }
}

static void backward(const double *log_probs, const int *ext, double *log_beta, int T, int C, int S)
{
    for (int t = T - 1; t >= 0; t--)
        for (int s = 0; s < S; s++) {
            const double *after = log_beta + (t + 1) * S, *y = log_probs + (t + 1) * C;
            double sum = s >= S - 2 ? 0 : -INFINITY; /* it ends with the last label or the blank after it */
            if (t < T - 1) {
                double stay = after[s] + y[ext[s]];
                double step = s + 1 < S ? after[s + 1] + y[ext[s + 1]] : -INFINITY;
                double skip = s + 2 < S && can_skip(ext, s + 2) ? after[s + 2] + y[ext[s + 2]] : -INFINITY;
                sum = log_add(stay, step, skip);
            }
            log_beta[t * S + s] = sum;
        }
}

static double log_likelihood(const double *log_alpha, int T, int S)
{
    if (T == 0) return S == 1 ? 0 : -INFINITY;
    const double *last = log_alpha + (T - 1) * S;
    return log_add(last[S - 1], S > 1 ? last[S - 2] : -INFINITY, -INFINITY);
}

/* grad = probs - occupancy; gamma = alpha beta / p. Both are 0 if no path exists. */
static void posterior(const double *log_probs, const double *log_alpha, const double *log_beta, const int *ext,
                      double log_p, double *grad, double *gamma, int T, int C, int S)
{
    for (int t = 0; t < T; t++) {
        for (int c = 0; c < C; c++) grad[t * C + c] = log_p == -INFINITY ? 0 : exp(log_probs[t * C + c]);
        for (int s = 0; s < S; s++) {
            int k = t * S + s;
            gamma[k] = log_p == -INFINITY ? 0 : exp(log_alpha[k] + log_beta[k] - log_p);
            grad[t * C + ext[s]] -= gamma[k];
        }
    }
}

int main(void)
{
    int T, C, U, blank;
    while (scanf("%d %d %d %d", &T, &C, &U, &blank) == 4) {
        int S = 2 * U + 1, *ext = malloc(S * sizeof *ext);
        double *logits = malloc((3 * T * C + 3 * T * S + 1) * sizeof *logits);
        double *log_probs = logits + T * C, *grad = log_probs + T * C;
        double *log_alpha = grad + T * C, *log_beta = log_alpha + T * S, *gamma = log_beta + T * S;
        for (int s = 0; s < S; s++) {
            ext[s] = blank;
            if (s % 2 == 1 && scanf("%d", &ext[s]) != 1) return 1;
        }
        for (int i = 0; i < T * C; i++)
            if (scanf("%lf", &logits[i]) != 1) return 1;

        forward(logits, ext, log_alpha, T, C, S);
        double log_z = log_likelihood(log_alpha, T, S);
        log_softmax(logits, log_probs, T, C);
        forward(log_probs, ext, log_alpha, T, C, S);
        backward(log_probs, ext, log_beta, T, C, S);
        double log_p = log_likelihood(log_alpha, T, S);
        posterior(log_probs, log_alpha, log_beta, ext, log_p, grad, gamma, T, C, S);

        printf("%.17g %.17g", 0 - log_p, log_z);
        for (int i = 0; i < T * C; i++) printf(" %.17g", grad[i]);
        for (int i = 0; i < T * S; i++) printf(" %.17g", gamma[i]);
        printf("\n");
        free(logits);
        free(ext);
    }
    return 0;
}
