//! Tables of functions of the kernel's (struct_ops): one value, which is set once.

use skep_spec::MapSpec;

use super::{Bytes, flags, index_of};
use crate::errno::Errno;
use crate::memory::Memory;

#[derive(Debug)]
pub(crate) struct StructOps {
    value_size: usize,
    value: Option<Vec<u8>>,
}

impl StructOps {
    pub(crate) fn new(spec: &MapSpec) -> StructOps {
        StructOps {
            value_size: spec.value_size as usize,
            value: None,
        }
    }

    /// The value; zeros as long as there is none.
    pub(crate) fn get(&self, mem: &Memory, key: Bytes<'_>) -> Result<Vec<u8>, Errno> {
        if index_of(mem, key) != 0 {
            return Err(Errno::NOENT);
        }
        let zeros = || vec![0; self.value_size];
        Ok(self.value.clone().unwrap_or_else(zeros))
    }

    pub(crate) fn update(
        &mut self,
        mem: &Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
    ) -> Result<(), Errno> {
        if flag != flags::ANY {
            return Err(Errno::INVAL);
        }
        if index_of(mem, key) != 0 {
            return Err(Errno::TOOBIG);
        }
        if self.value.is_some() {
            return Err(Errno::BUSY);
        }
        self.value = Some(value.get(mem, self.value_size as u64).to_vec());
        Ok(())
    }

    /// Takes the value out, whatever the key.
    pub(crate) fn delete(&mut self) -> Result<(), Errno> {
        self.value.take().map(drop).ok_or(Errno::NOENT)
    }

    pub(crate) fn next_key(key: Option<&[u8]>) -> Option<Vec<u8>> {
        super::user::next_index(key, 1)
    }
}
