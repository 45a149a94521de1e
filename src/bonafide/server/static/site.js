"use strict";
// Pages work without this file; it adds dropping, pasting, sending progress and live results.

// What the page says in another language than English; see `words_of` in report/templates.py.
const spoken = JSON.parse(document.documentElement.dataset.words || "{}");
const say = (text, values = {}) =>
  (spoken[text] || text).replace(/%\((\w+)\)s/g, (_, name) => values[name]);

// Documents have no small picture, and those of old reports are deleted.
const broken = (picture) => picture.complete && !picture.naturalWidth;
document.addEventListener("error", ({ target }) => target.matches(".thumb img") && target.remove(), true);
[...document.querySelectorAll(".thumb img")].filter(broken).forEach((picture) => picture.remove());

const upload = document.getElementById("upload");
if (upload) {
  const root = document.documentElement;
  const trouble = document.getElementById("trouble");
  const sending = document.getElementById("sending"); // while it is shown, nothing else is sent
  const bounds = upload.dataset;

  const refuse = (files) => {
    const most = Number(bounds.mostFiles);
    if (files.length > most) {
      return say("These are %(n)s files; at most %(most)s go at once.", { n: files.length, most });
    }
    const large = files.find((file) => file.size > Number(bounds.mostBytes));
    if (large) return say("%(name)s is too large.", { name: large.name });
    const total = files.reduce((sum, file) => sum + file.size, 0);
    return total > Number(bounds.batchBytes) ? say("Together these files are too large.") : "";
  };

  const ended = (request) => {
    if (request.status === 202) {
      location.href = "/jobs/" + JSON.parse(request.responseText).id + "#new";
      return;
    }
    sending.hidden = true;
    if (request.status === 401) {
      const link = document.createElement("a");
      link.href = "/sign-in";
      link.textContent = say("Sign in again");
      trouble.replaceChildren(say("Your key is no longer valid."), " ", link, ".");
      return;
    }
    let said = say("The server refused the files (status %(status)s).", { status: request.status });
    trouble.removeAttribute("lang");
    try {
      said = JSON.parse(request.responseText).detail;
      trouble.lang = "en"; // what programs are told
    } catch {
      // a proxy in between answered in its own way
    }
    trouble.textContent = said;
  };

  const post = (words, body, headers) => {
    if (!sending.hidden) return;
    document.getElementById("sent-words").textContent = words;
    const wishes = new URLSearchParams({ profile: upload.elements.profile.value });
    if (upload.elements.stability.checked) wishes.set("stability", "true");
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/jobs?" + wishes);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    trouble.textContent = "";
    sending.hidden = false;
    const bar = document.getElementById("sent");
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.total ? (100 * event.loaded) / event.total : 0;
    });
    request.addEventListener("load", () => ended(request));
    request.addEventListener("error", () => {
      sending.hidden = true;
      trouble.textContent = say("The connection was lost.");
    });
    request.send(body);
  };

  const send = (list) => {
    const files = [...list];
    if (!files.length) return;
    trouble.textContent = refuse(files);
    if (trouble.textContent) return;
    const form = new FormData();
    for (const file of files) form.append("file", file, file.name);
    const one = files.length === 1;
    const words = one
      ? say("Sending %(name)s", { name: files[0].name })
      : say("Sending %(n)s files", { n: files.length });
    post(words, form, {});
  };

  upload.addEventListener("submit", (event) => {
    event.preventDefault();
    send(upload.elements.file.files);
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) sending.hidden = true; // back on a page that a browser had kept as it was
  });
  let depth = 0;
  const carries = (event) => event.dataTransfer && event.dataTransfer.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (carries(event)) root.classList.toggle("over", ++depth > 0);
  });
  addEventListener("dragleave", (event) => {
    if (carries(event)) root.classList.toggle("over", --depth > 0);
  });
  addEventListener("dragover", (event) => {
    if (carries(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    root.classList.remove("over");
    send(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData && event.clipboardData.files.length) send(event.clipboardData.files);
  });
  const fetching = document.getElementById("fetch");
  if (fetching) {
    fetching.addEventListener("submit", (event) => {
      event.preventDefault();
      const body = JSON.stringify({ url: fetching.elements.url.value });
      post(say("Fetching"), body, { "Content-Type": "application/json" });
    });
  }
}

const job = document.getElementById("job");
const openReport = () => {
  const links = document.querySelectorAll("#live th a");
  if ("single" in job.dataset && links.length === 1) location.replace(links[0].href);
};
if (job && !("running" in job.dataset) && location.hash === "#new") {
  history.replaceState(null, "", location.pathname); // going back must not lead here again
  openReport();
}
if (job && "running" in job.dataset) {
  // Only what says something else is exchanged: a region that is read aloud, and a link with the
  // focus, must stay the element they are.
  const differ = (one, other) => one.textContent !== other.textContent;
  const take = (page) => {
    const [said, now] = [document, page].map((shown) => shown.getElementById("said"));
    if (differ(said, now)) said.textContent = now.textContent;
    document.getElementById("examined").value = page.getElementById("examined").value;
    if (!page.getElementById("cancel")) document.getElementById("cancel")?.remove();
    const fresh = page.querySelectorAll("#tally, #live tr");
    document.querySelectorAll("#tally, #live tr").forEach((old, index) => {
      if (differ(old, fresh[index])) old.replaceWith(fresh[index]);
    });
  };
  // Asked for, not streamed: a stream in each of six tabs would take all connections of a browser.
  let pause = 200; // milliseconds; soon for what is quick, growing for what is not
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected) location.reload(); // signed out meanwhile: on to where one signs in
      else if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        take(page);
        if (!("running" in page.getElementById("job").dataset)) return openReport();
      }
    } catch {
      // the server is away; it is asked again
    }
    pause = Math.min(1000, 1.3 * pause);
    setTimeout(look, pause);
  };
  setTimeout(look, pause);
}
document.documentElement.classList.add("scripted");
