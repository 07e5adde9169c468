// axios, as an application would use it, for the contract of HTTP adapters.
import { Readable } from 'node:stream';
import axios, { isAxiosError, type AxiosResponse, type CreateAxiosDefaults } from 'axios';
import type { AttachmentOptions } from '../../src/http/attachment.js';
import { credentialsInterceptor } from '../../src/http/axios.js';
import type { CredentialStore } from '../../src/store/store.js';
import type { ContractSend } from '../contract/http-contract.js';
import { readOnce, streamOf } from './read-once.js';

export function sendByAxios(adapter: CreateAxiosDefaults['adapter'], store: CredentialStore, options: AttachmentOptions): ContractSend {
  const once = (text: string): unknown =>
    adapter === 'http' ? Readable.from([text]) : adapter === 'xhr' ? readOnce(text) : streamOf(text);
  const instance = axios.create({ ...(adapter && { adapter }), responseType: 'text', proxy: false });
  instance.interceptors.request.use(credentialsInterceptor(store, options));
  return async ({ url, method = 'GET', headers, body, isReadOnce, signal }) => {
    const answered = ({ status, data }: AxiosResponse<string>) => ({ status, body: data });
    const data = isReadOnce ? once(String(body)) : body;
    try {
      return answered(await instance.request<string>({ url, method, ...(headers && { headers }), data, ...(signal && { signal }) }));
    } catch (error) {
      if (isAxiosError<string>(error) && error.response) return answered(error.response);
      throw error;
    }
  };
}
