import * as ort from "./ort.wasm.bundle.min.mjs";

const element = (id) => document.getElementById(id);
const status = element("status");
const say = (text) => { status.textContent = text; };

async function fetched(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer;
}

// Latents are noise, then the label, one-hot, then continuous codes.

function spaceOf(description) {
  const { noise, labels, continuous } = description;
  const size = noise + labels.length + continuous;

  function withLabel(latent, label) {
    const other = latent.slice();
    other.fill(0, noise, noise + labels.length);
    if (labels.length) other[noise + label] = 1;
    return other;
  }

  function withCode(latent, number, value) {
    const other = latent.slice();
    other[noise + labels.length + number] = value;
    return other;
  }

  function labelOf(latent) {
    return latent.subarray(noise, noise + labels.length).indexOf(1);
  }

  function draw(random, label) {
    const latent = new Float32Array(size);
    for (let at = 0; at < noise; at += 1) {
      latent[at] = description.distribution === "normal" ? normal(random) : 2 * random() - 1;
    }
    for (let at = size - continuous; at < size; at += 1) latent[at] = 2 * random() - 1;
    return withLabel(latent, label);
  }

  // On a great circle where noise is normal, which keeps its norm typical.
  function between(start, end, share) {
    const linear = start.map((value, at) => value + share * (end[at] - value));
    if (description.distribution !== "normal" || noise === 1) return linear;
    let [product, ofStart, ofEnd] = [0, 0, 0];
    for (let at = 0; at < noise; at += 1) {
      product += start[at] * end[at];
      ofStart += start[at] ** 2;
      ofEnd += end[at] ** 2;
    }
    const cosine = product / Math.sqrt(ofStart * ofEnd);
    const angle = Math.acos(Math.min(1 - 1e-6, Math.max(-1 + 1e-6, cosine)));
    for (let at = 0; at < noise; at += 1) {
      const of = (weight, value) => Math.sin(weight * angle) * value;
      linear[at] = (of(1 - share, start[at]) + of(share, end[at])) / Math.sin(angle);
    }
    return linear;
  }

  return { size, withLabel, withCode, labelOf, draw, between };
}

// Box and Muller's transform of two uniform numbers.
function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

// SplitMix32: uniform numbers in [0, 1) of a seed.
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

// Images in [-1, 1] become bytes as in gan: 127.5 x + 127.5, rounded to even, clipped.
function paint(canvas, image, [height, width, channels]) {
  const pixels = new ImageData(width, height);
  for (let at = 0; at < height * width; at += 1) {
    for (let channel = 0; channel < 4; channel += 1) {
      const own = channels === 1 ? 0 : channel;
      const value = own < channels ? image[at * channels + own] : 1;
      pixels.data[4 * at + channel] = channels === 1 && channel === 3 ? 255 : 127.5 * value + 127.5;
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

async function open() {
  const description = await (await fetched("description.json")).json();
  document.title = description.title;
  element("title").textContent = description.title;
  const space = spaceOf(description);
  const saved = new Float32Array(await (await fetched("latents.bin")).arrayBuffer());
  const first = [];
  for (let at = 0; at < saved.length; at += space.size) {
    first.push(saved.slice(at, at + space.size));
  }
  const session = await ort.InferenceSession.create(description.model);

  // Sessions compute one thing at a time; what is asked for later waits.
  let last = Promise.resolve();
  function show(canvas, latent) {
    last = last.then(async () => {
      const latents = new ort.Tensor("float32", latent, [1, space.size]);
      const { images } = await session.run({ latents });
      paint(canvas, images.data, description.shape);
    });
    return last;
  }

  // Only the newest of several pictures that are asked for while another is computed.
  function newest(canvas) {
    let [busy, waiting] = [false, null];
    return async (latent) => {
      waiting = latent;
      if (busy) return;
      busy = true;
      while (waiting) {
        const own = waiting;
        waiting = null;
        await show(canvas, own);
      }
      busy = false;
    };
  }

  function figure(place, caption) {
    const [own, canvas] = [document.createElement("figure"), document.createElement("canvas")];
    own.append(canvas);
    if (caption !== undefined) {
      const text = document.createElement("figcaption");
      text.textContent = caption;
      own.append(text);
    }
    place.append(own);
    return canvas;
  }

  // Between two samples, and what the end would be with other labels and codes.
  let [start, end] = [first[1], first[0]];
  const [showStart, showEnd] = [newest(element("start")), newest(element("end"))];
  const showBetween = newest(element("between"));
  const between = () => showBetween(space.between(start, end, Number(element("share").value)));
  element("share").addEventListener("input", between);

  const variants = description.labels.map((name) => newest(figure(element("labels"), name)));
  const sliders = Array.from({ length: description.continuous }, (_, number) => {
    const [label, slider] = [document.createElement("label"), document.createElement("input")];
    Object.assign(slider, { type: "range", min: -1, max: 1, step: 0.02 });
    slider.addEventListener("input", () => {
      end = space.withCode(end, number, Number(slider.value));
      return Promise.all([showEnd(end), between(), ...traversal()]);
    });
    label.append(`code ${number + 1} `, slider);
    element("codes").append(label);
    return slider;
  });
  element("traversal").hidden = !variants.length && !sliders.length;
  const traversal = () => variants.map((shown, label) => shown(space.withLabel(end, label)));

  function choose(latent) {
    [start, end] = [end, latent];
    sliders.forEach((slider, number) => {
      slider.value = end[space.size - description.continuous + number];
    });
    return Promise.all([showStart(start), showEnd(end), between(), ...traversal()]);
  }

  // Grid of samples
  let shown = 0;
  async function samples(latents) {
    shown += 1;
    const [own, began] = [shown, performance.now()];
    element("samples").replaceChildren();
    const canvases = latents.map((latent) => {
      const canvas = figure(element("samples"), description.labels[space.labelOf(latent)]);
      Object.assign(canvas, { tabIndex: 0, role: "button" });
      const pressed = () => {
        for (const other of canvases) other.setAttribute("aria-pressed", String(other === canvas));
        return choose(latent);
      };
      canvas.addEventListener("click", pressed);
      canvas.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        pressed();
      });
      return canvas;
    });
    for (const [at, latent] of latents.entries()) {
      if (own !== shown) return; // Others were asked for meanwhile.
      say(`Drawing ${at + 1} of ${latents.length}…`);
      await show(canvases[at], latent);
    }
    const seconds = (performance.now() - began) / 1000 / latents.length;
    say(`${latents.length} samples, ${(1000 * seconds).toFixed(1)} ms each, drawn in this browser.`);
  }

  const count = () => Number(element("count").value);
  element("of-label").hidden = !description.labels.length;
  for (const [number, name] of description.labels.entries()) {
    element("label").append(new Option(name, number));
  }
  element("draw").addEventListener("submit", (event) => {
    event.preventDefault();
    const random = uniform(Number(element("seed").value));
    const asked = element("label").value;
    const labelOf = (at) => (asked === "" ? at % Math.max(1, description.labels.length) : Number(asked));
    samples(Array.from({ length: count() }, (_, at) => space.draw(random, labelOf(at))));
  });
  element("first").addEventListener("click", () => samples(first.slice(0, count())));
  await samples(first.slice(0, count()));
  await choose(first[1]);
  document.body.dataset.ready = "true";
}

open().catch((error) => {
  say(`This page cannot be shown: ${error.message}`);
});
