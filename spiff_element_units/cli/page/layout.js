/* A layout for processes whose BPMN has none: ELK places their elements, and BPMN DI is made of it.
   Elements say which lane they are in. Pools, data and annotations are not drawn. */

const SIZES = [[/Event$/, 36, 36], [/Gateway$/, 50, 50], [/./, 100, 80]];
const isSubprocess = element => /(SubProcess|Transaction)$/.test(element.$type);
const isFlow = element => element.$type === "bpmn:SequenceFlow";
const isDrawn = element => /(Event|Task|Gateway|Activity|SubProcess|Transaction)$/.test(element.$type);

// The elements of a process or subprocess as ELK's nodes. Boundary events are ports of their hosts.
function contentOf(container) {
  const elements = container.flowElements || [], nodes = elements.filter(isDrawn);
  const events = nodes.filter(one => one.attachedToRef), children = nodes.filter(one => !one.attachedToRef);
  const there = new Set(nodes);
  return {
    children: children.map(element => {
      const [, width, height] = SIZES.find(([kind]) => kind.test(element.$type));
      const ports = events.filter(one => one.attachedToRef === element).map(one => ({
        id: one.id, width: 36, height: 36, layoutOptions: { "elk.port.side": "SOUTH", "elk.port.borderOffset": "-18" } }));
      const options = ports.length ? { "elk.portConstraints": "FIXED_SIDE" } : {};
      const content = isSubprocess(element) ? contentOf(element) : null;
      if (content && content.children.length)
        return { id: element.id, ports, ...content, layoutOptions: { ...content.layoutOptions, ...options } };
      return { id: element.id, width: content ? 100 : width, height: content ? 80 : height, ports, layoutOptions: options };
    }),
    edges: elements.filter(one => isFlow(one) && there.has(one.sourceRef) && there.has(one.targetRef))
      .map(one => ({ id: one.id, sources: [one.sourceRef.id], targets: [one.targetRef.id] })),
    layoutOptions: {
      "elk.algorithm": "layered", "elk.direction": "RIGHT", "elk.edgeRouting": "ORTHOGONAL", "elk.padding": "[top=40,left=30,bottom=40,right=30]",
      "elk.spacing.nodeNode": "40", "elk.layered.spacing.nodeNodeBetweenLayers": "50", "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
    },
  };
}

// The place where an edge from the left or right of an element's box meets the element itself.
function onBorder({ x, y }, element, { left, top, width, height }) {
  const right = Math.abs(x - left - width) < 1, beside = right || Math.abs(x - left) < 1;
  const across = y - top - height / 2, radius = width / 2;
  const depth = element.$type.endsWith("Gateway") ? Math.abs(across)
    : element.$type.endsWith("Event") ? radius - Math.sqrt(Math.max(0, radius ** 2 - across ** 2)) : 0;
  return beside ? { x: right ? x - depth : x + depth, y } : { x, y };
}

// A diagram of a process, which is added to its definitions.
async function laidOut(moddle, definitions, process) {
  const byId = new Map();
  const collect = container => (container.flowElements || []).forEach(one => {
    byId.set(one.id, one);
    collect(one);
  });
  collect(process);
  const placed = await elk.layout({ id: process.id, ...contentOf(process) });
  const parts = [];
  const add = (kind, id, rest) => parts.push(moddle.create(`bpmndi:${kind}`, { id: `${id}_laid_out`, bpmnElement: byId.get(id), ...rest }));
  const shape = ({ id, width, height }, x, y) => add("BPMNShape", id, {
    bounds: moddle.create("dc:Bounds", { x, y, width, height }), isExpanded: isSubprocess(byId.get(id)) || undefined });
  const boxes = new Map();
  const put = (content, left, top) => {
    for (const child of content.children || []) {
      const x = left + child.x, y = top + child.y;
      shape(child, x, y);
      boxes.set(child.id, { left: x, top: y, width: child.width, height: child.height });
      put(child, x, y);
      for (const port of child.ports || []) shape(port, x + port.x, y + port.y);
    }
    for (const { id, sections: [{ startPoint, bendPoints = [], endPoint }] } of content.edges || []) {
      const points = [startPoint, ...bendPoints, endPoint].map(one => ({ x: left + one.x, y: top + one.y }));
      const { sourceRef, targetRef } = byId.get(id);
      for (const [at, element] of [[0, sourceRef], [points.length - 1, targetRef]])
        if (boxes.has(element.id)) points[at] = onBorder(points[at], element, boxes.get(element.id));
      add("BPMNEdge", id, { waypoint: points.map(one => moddle.create("dc:Point", one)) });
    }
  };
  put(placed, 0, 0);
  const plane = moddle.create("bpmndi:BPMNPlane", { id: `${process.id}_laid_out_plane`, bpmnElement: process, planeElement: parts });
  const diagram = moddle.create("bpmndi:BPMNDiagram", { id: `${process.id}_laid_out`, plane });
  for (const part of parts) part.$parent = plane;
  plane.$parent = diagram;
  diagram.$parent = definitions;
  definitions.get("diagrams").push(diagram);
  return diagram;
}

// The names of the lanes that each element of a process is in, the outer one first.
function lanesOf(process) {
  const names = new Map();
  const collect = (set, outer) => (set.lanes || []).forEach(lane => {
    const path = [...outer, lane.name || lane.id];
    for (const one of lane.flowNodeRef || []) names.set(one.id, path);
    if (lane.childLaneSet) collect(lane.childLaneSet, path);
  });
  (process.laneSets || []).forEach(set => collect(set, []));
  return names;
}

function addLanes(process) {
  const overlays = viewer.get("overlays"), all = viewer.get("elementRegistry");
  for (const [id, path] of lanesOf(process)) {
    const title = path.join(" › ");
    const element = all.get(id);
    if (!element || !element.parent) continue;
    const label = make("span", { className: "lane", textContent: blank(title), title: `Lane ${title}` });
    label.style.maxWidth = `${element.width + 45}px`; // to the next element
    overlays.add(id, "lane", { position: { top: -18, left: 0 }, html: label });
  }
}
