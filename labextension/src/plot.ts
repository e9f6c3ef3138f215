import { element, setText, svg } from './dom';
import { IValue, Level, linePath } from './format';

/** How far back, in seconds. */
export const SPAN_S = 600;

/** A small line of the last minutes, with its value now in words. */
export class Plot {
  constructor(title: string) {
    const area = svg('svg', {
      viewBox: '0 0 100 100',
      preserveAspectRatio: 'none',
      'aria-hidden': 'true'
    });
    area.append(this._fill, this._line);
    this.node = element(
      'figure',
      { class: 'apl-plot' },
      element('figcaption', {}, element('span', {}, title), this._now),
      area as unknown as Node
    );
  }

  readonly node: HTMLElement;

  /** `now`: the value in words. */
  show(values: IValue[], limit: number, now: string, level: Level): void {
    const line = linePath(values, SPAN_S, limit);
    this._line.setAttribute('d', line);
    this._fill.setAttribute('d', filled(line));
    setText(this._now, now);
    this.node.dataset.level = level;
  }

  private readonly _now = element('span', { class: 'apl-now' });
  private readonly _line = svg('path', { class: 'apl-line', 'vector-effect': 'non-scaling-stroke' });
  private readonly _fill = svg('path', { class: 'apl-fill' });
}

/** The areas below the pieces of a line. */
function filled(line: string): string {
  return line
    .split('M')
    .filter(Boolean)
    .map(piece => {
      const points = piece.split('L');
      const x = (point: string) => point.split(' ')[0];
      const last = points[points.length - 1];
      return `M${piece}L${x(last)} 100L${x(points[0])} 100Z`;
    })
    .join('');
}
