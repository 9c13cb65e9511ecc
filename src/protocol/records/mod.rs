//! Record batches: what producers send, the log keeps and consumers receive.
