/* bpmn-js leaves out an element whose id is not of ASCII letters, digits, `_`, `-` and `.`. XML allows
   letters of any language, and SpiffWorkflow any text. So bpmn-js reads such a model with other ids,
   and the model that it has read gets its own ids back. It draws whatever these are. */

const ACCEPTED = /^([a-z][\w-.]*:)?[a-z_][\w-.]*$/i;

// Reads BPMN.
async function readBpmn(moddle, text) {
  const { text: accepted, own } = withAcceptedIds(text);
  const { rootElement } = await moddle.fromXML(accepted);
  if (own.size) putBack(rootElement, own);
  return rootElement;
}

/* Replaces each id that is not accepted wherever it is the whole of an attribute or of a text, so that
   all that refers to it is found. What only looks like it, as a name does, is put back as well. */
function withAcceptedIds(text) {
  const parsed = new DOMParser().parseFromString(text, "application/xml");
  const all = [...parsed.getElementsByTagName("*")];
  const ids = new Set(all.map(one => one.getAttribute("id")).filter(id => id && !ACCEPTED.test(id)));
  if (!ids.size) return { text, own: new Map() };
  let prefix = "id";
  while (text.includes(prefix)) prefix += "_"; // so that the prefix is not in the model
  const given = new Map([...ids].map((id, number) => [id, prefix + number]));
  for (const one of all) {
    for (const attribute of one.attributes)
      if (given.has(attribute.value)) attribute.value = given.get(attribute.value);
    const content = one.childElementCount ? "" : one.textContent.trim();
    if (given.has(content)) one.textContent = one.textContent.replace(content, () => given.get(content));
  }
  return { text: new XMLSerializer().serializeToString(parsed), own: new Map([...given].map(([id, other]) => [other, id])) };
}

function putBack(root, own) {
  const seen = new Set([root]), waiting = [root];
  while (waiting.length) {
    const one = waiting.pop();
    for (const [key, value] of Object.entries(one))
      if (typeof value === "string") {
        const found = value.trim();
        if (own.has(found)) one[key] = value.replace(found, () => own.get(found));
      } else if (value && typeof value === "object" && !seen.has(value)) {
        seen.add(value);
        waiting.push(value);
      }
  }
}
