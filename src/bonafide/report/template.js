"use strict";
// Everything that matters works without this file: it adds the slider, zoom, and printing whole.
const reportWords = JSON.parse(document.documentElement.dataset.words || "{}");
const tell = (text, part) => (reportWords[text] || text).replace("%(part)s", part);
for (const viewer of document.querySelectorAll(".viewer")) {
  const stage = viewer.querySelector(".stage");
  if (!stage) continue;
  const pictures = [...viewer.querySelectorAll(".picture")];
  const current = () => pictures.find((picture) => picture.getClientRects().length) || pictures[0];
  const button = viewer.querySelector(".zoom");
  const strength = viewer.querySelector(".strength input");
  const fade = () => {
    for (const map of viewer.querySelectorAll(".map")) map.style.opacity = strength.value / 100;
  };
  const compare = viewer.querySelector(".compare input");
  const divide = () => {
    // Left of the line is the picture alone, right of it the overlay.
    const part = Number(compare.value);
    for (const picture of pictures) {
      const width = picture.viewBox.baseVal.width;
      const at = (part / 100) * width;
      const side = picture.querySelector(".side");
      side.setAttribute("x", at);
      side.setAttribute("width", width - at);
      const divider = picture.querySelector(".divider");
      divider.setAttribute("transform", "translate(" + at + " 0)");
      divider.style.display = part ? "inline" : "";
    }
    const said = tell("%(part)s % of the width is shown without the overlay", part);
    compare.setAttribute("aria-valuetext", part ? said : tell("overlay everywhere"));
  };
  if (strength) {
    strength.addEventListener("input", fade);
    fade();
    compare.addEventListener("input", divide);
    divide();
  }
  const zoom = (x, y) => {
    const picture = current();
    const before = picture.getBoundingClientRect();
    const enlarge = button.getAttribute("aria-pressed") === "false";
    const full = Number(picture.dataset.full);
    const width = full > 1.2 * before.width ? full : 2 * before.width;
    button.setAttribute("aria-pressed", String(enlarge));
    button.textContent = enlarge ? tell("Fit") : tell("Enlarge");
    stage.classList.toggle("large", enlarge);
    for (const each of pictures) each.style.width = enlarge ? width + "px" : "";
    if (enlarge) {
      stage.tabIndex = 0;
      stage.scrollLeft = x * picture.clientWidth - stage.clientWidth / 2;
      stage.scrollTop = y * picture.clientHeight - stage.clientHeight / 2;
    } else {
      stage.removeAttribute("tabindex");
    }
  };
  button.addEventListener("click", () => zoom(0.5, 0.5));
  for (const picture of pictures) {
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      zoom((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
  }
  for (const point of viewer.querySelectorAll("a[data-point]")) {
    point.addEventListener("click", (event) => {
      // A point of the line opens its frame; without script the link leads to its thumbnail.
      event.preventDefault();
      viewer.querySelector("[data-shot='" + point.dataset.point + "']").checked = true;
      stage.scrollIntoView({ block: "nearest" });
    });
  }
}
for (const figure of document.querySelectorAll(".sound")) {
  // The wave shows where the player is; a click on it, or on a marked stretch, plays from there.
  const player = figure.querySelector("audio");
  if (!player) continue;
  const wave = figure.querySelector(".wave");
  const seconds = Number(figure.dataset.seconds);
  const box = wave.viewBox.baseVal;
  const show = () => {
    const at = (box.width * player.currentTime) / seconds;
    wave.querySelector(".now").setAttribute("transform", "translate(" + at + " 0)");
  };
  player.addEventListener("timeupdate", show);
  player.addEventListener("seeked", show);
  const play = (from) => {
    player.currentTime = from;
    player.play();
  };
  wave.addEventListener("click", (event) => {
    const place = wave.getBoundingClientRect();
    play((seconds * (event.clientX - place.left)) / place.width);
  });
  for (const stretch of figure.querySelectorAll("[data-seconds]")) {
    stretch.addEventListener("click", () => play(Number(stretch.dataset.seconds)));
  }
}
document.documentElement.classList.add("scripted");
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
