/** The image's apps and the session's ports, as the server extension tells of them. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { ITranslate } from './format';

export interface IApp {
  name: string;
  title: string;
  /** SVG, or "". */
  icon: string;
  state: 'stopped' | 'starting' | 'ready' | 'failed';
  seconds: number;
  expected_s: number;
  /** How often it has died and was started again by itself. */
  restarts: number;
  problem: { code: string; detail: string; printed: string } | null;
  url: string;
}

/** What listens on a port: a web server, something else, nothing. */
export type PortAnswer = 'http' | 'silent' | 'closed';

/** Of an app's card: its title and its state. */
export function cardLabel(app: IApp, trans: ITranslate): string {
  switch (app.state) {
    case 'starting':
      return `${app.title}: ${trans.__('starting (%1 s)', Math.round(app.seconds))}`;
    case 'ready':
      return `${app.title}: ${trans.__('ready')}`;
    case 'failed':
      return `${app.title}: ${trans.__('failed')}`;
    default:
      return app.title;
  }
}

/** Why it does not run. */
export function problemText(app: IApp, trans: ITranslate): string {
  const { code, detail, printed } = app.problem ?? { code: '', detail: '', printed: '' };
  const words: Record<string, string> = {
    ended: trans.__('It has ended.'),
    no_port: trans.__('It has not opened its port in %1 s.', detail),
    port_taken: trans.__('Port %1 is used by another program.', detail),
    cannot_start: trans.__('It cannot be started: %1.', detail)
  };
  return [words[code] ?? '', printed].filter(Boolean).join(' ');
}

/** How far a start is, 0 to 1: never done before it is, however long it takes. */
export function progressOf(app: IApp): number {
  return Math.min(0.95, app.expected_s > 0 ? app.seconds / app.expected_s : 0);
}

/** A port as somebody has typed it; null when it is none. */
export function readPort(text: string): number | null {
  const port = /^\s*\d{1,5}\s*$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : null;
}

/** Why no page can be opened there; "" when one can. */
export function portProblem(port: number, answer: PortAnswer, trans: ITranslate): string {
  if (answer === 'closed') {
    return trans.__(
      'Nothing listens on port %1. Start your program first, and let it listen on 127.0.0.1 or 0.0.0.0.',
      port
    );
  }
  return answer === 'silent'
    ? trans.__(
        'What listens on port %1 does not answer as a web server. Only programs with web pages can be opened here.',
        port
      )
    : '';
}

/** Asks the server extension. Rejects with a NetworkError, or an Error that says why. */
export class AppsClient {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  async list(): Promise<IApp[]> {
    return (await this._ask('apps')).apps;
  }

  async act(name: string, action: 'start' | 'stop' | 'restart'): Promise<IApp> {
    return (await this._ask(`apps/${name}/${action}`, { method: 'POST' })).app;
  }

  async log(name: string): Promise<string> {
    return (await this._ask(`apps/${name}/log`)).log;
  }

  async ports(): Promise<number[]> {
    return (await this._ask('ports')).ports;
  }

  async port(port: number): Promise<{ answer: PortAnswer; url: string }> {
    return this._ask(`ports/${port}`);
  }

  private async _ask(path: string, init: RequestInit = {}): Promise<any> {
    const url = URLExt.join(this._settings.baseUrl, 'apportion', path);
    const response = await ServerConnection.makeRequest(url, init, this._settings);
    if (!response.ok) {
      throw await ServerConnection.ResponseError.create(response);
    }
    return response.json();
  }
}
