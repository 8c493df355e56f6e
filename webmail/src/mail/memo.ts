// Rows are painted again only when what they are given changes; signals they read paint them by themselves.

import { Component, type ComponentType, createElement, type VNode } from "preact";

export function memo<P extends object>(inner: (props: P) => VNode | null): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const names = Object.keys(next) as (keyof P)[];
      return names.some((name) => next[name] !== this.props[name]);
    }

    override render(props: P): VNode {
      return createElement(inner as ComponentType<P>, props) as VNode;
    }
  };
}
