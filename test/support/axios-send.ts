// axios, as an application would use it, for the contract of HTTP adapters.
import axios, { isAxiosError, type AxiosResponse, type CreateAxiosDefaults } from 'axios';
import type { AttachmentOptions } from '../../src/http/attachment.js';
import { credentialsInterceptor } from '../../src/http/axios.js';
import type { CredentialStore } from '../../src/store/store.js';
import type { ContractSend } from '../contract/http-contract.js';

export function sendByAxios(adapter: CreateAxiosDefaults['adapter'], store: CredentialStore, options: AttachmentOptions): ContractSend {
  const instance = axios.create({ ...(adapter && { adapter }), responseType: 'text', proxy: false });
  instance.interceptors.request.use(credentialsInterceptor(store, options));
  return async ({ url, method = 'GET', headers, body, signal }) => {
    const answered = ({ status, data }: AxiosResponse<string>) => ({ status, body: data });
    try {
      return answered(await instance.request<string>({ url, method, ...(headers && { headers }), data: body, ...(signal && { signal }) }));
    } catch (error) {
      if (isAxiosError<string>(error) && error.response) return answered(error.response);
      throw error;
    }
  };
}
