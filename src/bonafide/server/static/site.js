"use strict";
// Pages work without this file; it adds dropping, pasting, sending progress and live results.

// Documents have no small picture, and those of old reports are deleted.
const broken = (picture) => picture.complete && !picture.naturalWidth;
document.addEventListener("error", ({ target }) => target.matches(".thumb img") && target.remove(), true);
[...document.querySelectorAll(".thumb img")].filter(broken).forEach((picture) => picture.remove());

const upload = document.getElementById("upload");
if (upload) {
  const root = document.documentElement;
  const trouble = document.getElementById("trouble");
  const bounds = upload.dataset;

  const refuse = (files) => {
    const most = Number(bounds.mostFiles);
    if (files.length > most) return "These are " + files.length + " files; at most " + most + " go at once.";
    const large = files.find((file) => file.size > Number(bounds.mostBytes));
    if (large) return large.name + " is too large.";
    const total = files.reduce((sum, file) => sum + file.size, 0);
    return total > Number(bounds.batchBytes) ? "Together these files are too large." : "";
  };

  const ended = (request) => {
    if (request.status === 202) {
      location.href = "/jobs/" + JSON.parse(request.responseText).id + "#new";
      return;
    }
    let said = "The server did not take the files (status " + request.status + ").";
    try {
      said = JSON.parse(request.responseText).detail;
    } catch {
      // a proxy in between answered in its own way
    }
    document.getElementById("sending").hidden = true;
    trouble.textContent = said;
  };

  const post = (body, headers) => {
    const wishes = new URLSearchParams({ profile: upload.elements.profile.value });
    if (upload.elements.stability.checked) wishes.set("stability", "true");
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/jobs?" + wishes);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    trouble.textContent = "";
    document.getElementById("sending").hidden = false;
    const bar = document.getElementById("sent");
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.total ? (100 * event.loaded) / event.total : 0;
    });
    request.addEventListener("load", () => ended(request));
    request.addEventListener("error", () => {
      document.getElementById("sending").hidden = true;
      trouble.textContent = "The connection broke off.";
    });
    request.send(body);
  };

  const send = (list) => {
    const files = [...list];
    if (!files.length) return;
    trouble.textContent = refuse(files);
    if (trouble.textContent) return;
    document.getElementById("sent-words").textContent =
      "Sending " + (files.length === 1 ? files[0].name : files.length + " files");
    const form = new FormData();
    for (const file of files) form.append("file", file, file.name);
    post(form, {});
  };

  upload.addEventListener("submit", (event) => {
    event.preventDefault();
    send(upload.elements.file.files);
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
      document.getElementById("sent-words").textContent = "Fetching";
      const body = JSON.stringify({ url: fetching.elements.url.value });
      post(body, { "Content-Type": "application/json" });
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
  const source = new EventSource(job.dataset.events);
  // Only what changed is exchanged: a region that is read aloud, and a link with the focus, must
  // stay the element they are.
  const take = (page) => {
    const said = page.getElementById("said");
    if (!said) return; // signed out meanwhile
    document.getElementById("said").textContent = said.textContent;
    document.getElementById("examined").value = page.getElementById("examined").value;
    if (!page.getElementById("cancel")) document.getElementById("cancel")?.remove();
    const fresh = page.querySelectorAll("#tally, #live tr");
    document.querySelectorAll("#tally, #live tr").forEach((old, index) => {
      if (!old.isEqualNode(fresh[index])) old.replaceWith(fresh[index]);
    });
  };
  let again = false;
  let looking = null;
  const look = async () => {
    while (again) {
      again = false;
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch {
        // the server is away; the events come back by themselves
      }
      await new Promise((wake) => setTimeout(wake, 250));
    }
    looking = null;
  };
  const refresh = () => {
    again = true;
    looking ??= look();
    return looking;
  };
  source.addEventListener("progress", refresh);
  source.addEventListener("end", async () => {
    source.close();
    await refresh();
    openReport();
  });
}
document.documentElement.classList.add("scripted");
