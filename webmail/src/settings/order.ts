/** Of answers that overtake each other: which still counts. Pure. */

/** Called for each question; what it gives says, when the answer is there, whether a newer one was taken before. */
export function keepOrder(): () => () => boolean {
  let asked = 0;
  let taken = 0;
  return () => {
    const mine = ++asked;
    return () => {
      if (mine < taken) return false;
      taken = mine;
      return true;
    };
  };
}
