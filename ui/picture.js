// Choosing a picture: from a file, from the camera or from the gallery, with a square to crop.

import { pictureAt, send } from "./api.js";
import { openDialog } from "./dialogs.js";
import { button, element, outcome, tell } from "./elements.js";
import { errorText, fieldErrorText, t } from "./language.js";
import { sendSigned } from "./session.js";

const SIDE = 512; // of the picture that is sent, in pixels
const STEP = 16; // of an arrow key

// Open a dialog to choose a picture instead of `current`, its URL or null; call `changed` with the
// new one.
export function choosePicture(current, changed) {
  const place = element("div", { class: "steps" });
  const status = outcome();
  let stop = () => {};
  const show = (...content) => {
    stop();
    stop = () => {};
    tell(status, "");
    place.replaceChildren(...content);
  };
  const close = openDialog(t("picture.title"), element("div", {}, status, place), () => stop());

  // Send a change of the picture; close the dialog if it succeeds.
  async function change(method, content) {
    const result = await sendSigned(method, "account/picture", content);
    if (result.ok) {
      changed(result.picture ?? null);
      close();
    } else tell(status, problemText(result), "bad");
  }

  function start() {
    const file = element("input", {
      type: "file",
      accept: "image/*",
      hidden: true,
      change: () => file.files[0] && useFile(file.files[0]),
    });
    const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);
    const pictures = element("div", { class: "gallery" });
    show(
      element(
        "div",
        { class: "buttons" },
        button(t("picture.file"), () => file.click()),
        file,
        hasCamera && button(t("picture.camera"), useCamera),
        current &&
          button(t("picture.remove"), () => change("DELETE"), { class: "quiet" }),
      ),
      element("h3", {}, t("picture.gallery")),
      pictures,
      element("div", { class: "buttons" }, button(t("dialog.cancel"), close, { class: "quiet" })),
    );
    fillGallery(pictures);
  }

  async function fillGallery(pictures) {
    const result = await send("GET", "gallery");
    if (!result.ok) tell(status, errorText(result), "bad");
    const made = (result.pictures ?? []).map(({ id, name, url }) =>
      button("", () => change("PUT", { gallery: id }), { class: "thumb", "aria-label": name }),
    );
    made.forEach((each, index) => {
      const src = pictureAt(result.pictures[index].url, 64);
      each.append(element("img", { src, alt: "", width: 64, height: 64, class: "round" }));
    });
    pictures.replaceChildren(...made);
  }

  async function useFile(file) {
    try {
      crop(await createImageBitmap(file));
    } catch {
      tell(status, t("picture.unreadable"), "bad");
    }
  }

  async function useCamera() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    } catch {
      tell(status, t("picture.no_camera"), "bad");
      return;
    }
    const video = element("video", { autoplay: true, muted: true, playsinline: true, class: "crop" });
    video.srcObject = stream;
    const end = () => stream.getTracks().forEach((track) => track.stop());
    if (!place.isConnected) {
      end(); // the dialog was closed before the user allowed the camera
      return;
    }
    const take = button(t("picture.take"), async () => crop(await createImageBitmap(video)));
    take.disabled = true;
    video.addEventListener("loadeddata", () => {
      take.disabled = false;
      take.focus();
    });
    show(
      video,
      element("div", { class: "buttons" }, take, button(t("form.back"), start, { class: "quiet" })),
    );
    stop = end;
  }

  function crop(image) {
    const cropper = makeCropper(image);
    const save = button(t("picture.save"), async () => change("PUT", await cropper.toBlob()));
    show(
      element("p", { class: "hint", id: "crop-hint" }, t("picture.crop_hint")),
      cropper.canvas,
      element("label", { class: "zoom" }, t("picture.zoom"), cropper.zoom),
      element("div", { class: "buttons" }, save, button(t("form.back"), start, { class: "quiet" })),
    );
    cropper.canvas.focus();
  }

  start();
}

function problemText(result) {
  const [first] = result.errors ?? [];
  return first ? fieldErrorText(first) : errorText(result);
}

// Return a canvas that shows a square of an image, which can be moved with a pointer or the arrow
// keys, and enlarged: {canvas, zoom, toBlob()}.
function makeCropper(image) {
  const canvas = element("canvas", {
    width: SIDE,
    height: SIDE,
    class: "crop",
    tabindex: "0",
    role: "img",
    "aria-label": t("picture.preview"),
    "aria-describedby": "crop-hint",
  });
  const zoom = element("input", { type: "range", min: "1", max: "4", step: "0.05", value: "1" });
  const drawing = canvas.getContext("2d");
  const fit = SIDE / Math.min(image.width, image.height);
  let [x, y] = [0, 0]; // of the image's centre, relative to the canvas' centre

  function draw() {
    const scale = fit * Number(zoom.value);
    const [width, height] = [image.width * scale, image.height * scale];
    const within = (value, size) => Math.max(-(size - SIDE) / 2, Math.min((size - SIDE) / 2, value));
    [x, y] = [within(x, width), within(y, height)];
    drawing.fillStyle = "white"; // behind what is transparent
    drawing.fillRect(0, 0, SIDE, SIDE);
    drawing.drawImage(image, (SIDE - width) / 2 + x, (SIDE - height) / 2 + y, width, height);
  }

  function move(byX, byY) {
    [x, y] = [x + byX, y + byY];
    draw();
  }

  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    const [byX, byY] = keys[event.key];
    move(byX * STEP, byY * STEP);
  });
  let last = null; // where the pointer was; browsers do not agree on movementX
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = event;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== last?.pointerId) return;
    const ratio = SIDE / canvas.clientWidth;
    move((event.clientX - last.clientX) * ratio, (event.clientY - last.clientY) * ratio);
    last = event;
  });
  canvas.addEventListener("lostpointercapture", () => (last = null));
  zoom.addEventListener("input", draw);
  draw();
  const toBlob = () => new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return { canvas, zoom, toBlob };
}
