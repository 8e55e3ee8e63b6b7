//! The worker as a program of its own, which a trial builds from two versions of the engine.

fn main() -> ! {
    pqbench_worker::serve()
}
