"use strict";

for (const samples of document.querySelectorAll(".samples")) {
  const steps = samples.dataset.steps.split(" ");
  const controls = samples.querySelector(".controls");
  const slider = controls.querySelector("input");
  const buttons = controls.querySelectorAll("button");

  // Of each run the newest samples that there were at the slider's step.
  function showStep() {
    const position = Number(slider.value);
    controls.querySelector("output").textContent = steps[position];
    for (const film of samples.querySelectorAll(".film")) {
      let newest = null;
      for (const frame of film.querySelectorAll(".frame")) {
        frame.hidden = true;
        if (Number(frame.dataset.position) <= position) newest = frame;
      }
      if (newest) newest.hidden = false;
    }
  }

  function showSeed(seed) {
    for (const films of samples.querySelectorAll(".films")) {
      films.hidden = films.dataset.seed !== seed;
    }
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.seed === seed));
    }
  }

  for (const button of buttons) {
    button.addEventListener("click", () => showSeed(button.dataset.seed));
  }
  if (slider) slider.addEventListener("input", showStep);
  controls.hidden = !slider && buttons.length === 0;
}
