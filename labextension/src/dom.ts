/** Elements without a library: built once, and changed where their data change. */

type Attributes = Record<string, string | boolean | ((event: Event) => void)>;

/** An element; attributes that are functions are listeners ("click"), false leaves one out. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      made.addEventListener(name, value);
    } else if (value !== false) {
      made.setAttribute(name, value === true ? '' : value);
    }
  }
  made.append(...children);
  return made;
}

/** Set a text only when it is another one: what is selected stays selected. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Show or hide, for everybody. */
export function setShown(node: HTMLElement, shown: boolean): void {
  node.hidden = !shown;
}

const SVG = 'http://www.w3.org/2000/svg';

/** An SVG element. */
export function svg(tag: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, tag) as SVGElement;
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  return made;
}
