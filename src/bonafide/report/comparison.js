
// The divider; without this file it stands in the middle.
for (const slider of document.querySelectorAll(".wipe input")) {
  const viewer = slider.closest(".viewer");
  const uncovered = viewer.querySelector(".uncovered");
  slider.addEventListener("input", () => {
    const place = (slider.value / 100) * slider.dataset.width;
    uncovered.setAttribute("width", place);
    for (const line of viewer.querySelectorAll(".divider")) {
      line.setAttribute("d", `M${place} 0V${slider.dataset.height}`);
    }
    viewer.querySelector("[data-choice='1']").checked = true;
  });
}
