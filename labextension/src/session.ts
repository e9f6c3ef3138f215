import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { IPanel, ISession } from './answers';

/** This server does not run under Apportion: there is nothing to ask for. */
export class NotUnderApportion extends Error {}

/** The hub or its service does not answer now; ask again later. */
export class Away extends Error {}

/** The hub does not take this server's token any more: asking again is of no use. */
export class Refused extends Error {}

/** The service has refused what was asked of it; the message is for the user. */
export class Failed extends Error {
  constructor(
    message: string,
    readonly field: string
  ) {
    super(message);
  }
}

/** Asks the server extension, which asks the hub; it speaks of this session alone. */
export class SessionClient {
  /** language: of the answers' sentences, as JupyterLab names it ("ja_JP"). */
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _language: string
  ) {}

  /** Rejects with NotUnderApportion, Away, Refused or a NetworkError, as all that follow. */
  async session(): Promise<ISession> {
    return (await this._ask('apportion/session')).session;
  }

  async panel(): Promise<IPanel> {
    return (await this._ask('apportion/panel')).panel;
  }

  /** Do something. Also rejects with Failed. */
  async act(
    path: string,
    body: Record<string, unknown> = {},
    method: 'POST' | 'DELETE' = 'POST'
  ): Promise<any> {
    const init = method === 'POST' ? { method, body: JSON.stringify(body) } : { method };
    return this._ask(`apportion/${path}`, init);
  }

  private async _ask(path: string, init: RequestInit = {}): Promise<any> {
    const headers = { 'Accept-Language': this._language.replace('_', '-') };
    const response = await ServerConnection.makeRequest(
      URLExt.join(this._settings.baseUrl, path),
      { ...init, headers },
      this._settings
    );
    if (response.status === 404) {
      throw new NotUnderApportion();
    }
    const answer = response.ok ? await response.json() : null;
    switch (answer?.state) {
      case 'ok':
        return answer;
      case 'refused':
        throw new Refused();
      case 'failed':
        throw new Failed(answer.error?.message ?? '', answer.error?.field ?? '');
      default:
        throw new Away();
    }
  }
}
