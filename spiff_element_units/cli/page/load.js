/* Unpacks what the page has as gzip in base64, and runs the libraries in their order. */
const LIBRARIES = document.querySelectorAll("script.packed");

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

if (!window.DecompressionStream) {
  document.getElementById("title").textContent = "This page needs a newer browser, of 2023 or later.";
  return;
}
for (const text of await Promise.all([...LIBRARIES].map(one => unpacked(one.textContent)))) {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
}
