// Symbols and pictures light up together: hover or focus a symbol, and its parts of the picture are marked, and the
// other way round.
//
// Both carry `data-part`, a list of words; they belong together if they share one.

function light_up(room) {
  const act = (event) => {
    const element = event.type === "focusout" ? null : event.target.closest?.("[data-part]");
    const parts = element ? element.dataset.part.split(" ") : [];
    const in_formula = Boolean(element?.closest(".formula"));
    room.classList.toggle("lighting", in_formula);
    for (const other of room.querySelectorAll("[data-part]")) {
      const answers = in_formula || other.closest(".formula") !== null;
      other.classList.toggle("lit", answers && other.dataset.part.split(" ").some((part) => parts.includes(part)));
    }
  };
  for (const event of ["pointerover", "focusin", "pointerleave", "focusout"]) room.addEventListener(event, act);
}

export {light_up};
