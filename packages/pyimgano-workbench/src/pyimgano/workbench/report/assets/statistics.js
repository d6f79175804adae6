// What a threshold does, and how sure that is. Counts are exact: scores are compared as they were computed, score ≥ threshold.

// Logarithm of the gamma function for x > 0 (Lanczos, g = 7, 9 terms; about 15 digits).
function logGamma(x) {
  const terms = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  let sum = terms[0];
  for (let index = 1; index < 9; index++) sum += terms[index] / (x - 1 + index);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// Regularised incomplete beta function I_x(a, b), by its continued fraction (modified Lentz).
function incompleteBeta(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast left of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const tiny = 1e-300;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let c = 1;
  let d = 1 - ((a + b) * x) / (a + 1);
  d = 1 / (Math.abs(d) < tiny ? tiny : d);
  let value = d;
  for (let m = 1; m < 100000; m++) {
    let change = 1;
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 + term * d;
      d = 1 / (Math.abs(d) < tiny ? tiny : d);
      c = 1 + term / c;
      if (Math.abs(c) < tiny) c = tiny;
      change = c * d;
      value *= change;
    }
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return front * value;
}

function betaQuantile(p, a, b) {
  let low = 0;
  let high = 1;
  for (let step = 0; step < 200; step++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (incompleteBeta(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// Exact (conservative) interval of a proportion: C. J. Clopper, E. S. Pearson, Biometrika 26, 1934.
function clopperPearson(successes, n, confidence = 0.95) {
  const tail = (1 - confidence) / 2;
  return [
    successes === 0 ? 0 : betaQuantile(tail, successes, n - successes + 1),
    successes === n ? 1 : betaQuantile(1 - tail, successes + 1, n - successes),
  ];
}

// Number of values ≥ bound in an ascending array.
function countFrom(sorted, bound) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] >= bound) high = middle;
    else low = middle + 1;
  }
  return sorted.length - low;
}

function ascending(values) {
  return Float64Array.from(values).sort();
}

function ratio(count, n) {
  return n === 0 ? null : count / n;
}

function rate(count, n) {
  return { count, n, value: ratio(count, n), interval: n === 0 ? null : clopperPearson(count, n) };
}

// Everything that follows from a threshold (and a review threshold below it, or null), for ascending scores.
function decide(good, defective, threshold, review) {
  const lower = known(review) ? Math.min(review, threshold) : threshold;
  const rejectedGood = countFrom(good, threshold);
  const rejectedDefective = countFrom(defective, threshold);
  const reviewGood = countFrom(good, lower) - rejectedGood;
  const reviewDefective = countFrom(defective, lower) - rejectedDefective;
  const passedDefective = defective.length - rejectedDefective - reviewDefective;
  return {
    confusion: {
      rejected_defective: rejectedDefective,
      rejected_good: rejectedGood,
      review_good: reviewGood,
      review_defective: reviewDefective,
      passed_good: good.length - rejectedGood - reviewGood,
      passed_defective: passedDefective,
    },
    overkill: rate(rejectedGood, good.length),
    escape: rate(passedDefective, defective.length),
    reviewGood: rate(reviewGood, good.length),
    reviewDefective: rate(reviewDefective, defective.length),
    precision: rate(rejectedDefective, rejectedDefective + rejectedGood),
    recall: rate(rejectedDefective, defective.length),
    f1: defective.length ? (2 * rejectedDefective) / (rejectedDefective + rejectedGood + defective.length) : null,
  };
}
