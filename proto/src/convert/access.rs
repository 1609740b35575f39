//! What a method asks for, in the core's words.

use sweep_core::access::Permission;

use crate::{PERMISSIONS, v1};

impl TryFrom<v1::Permission> for Permission {
    type Error = super::ConvertError;

    fn try_from(permission: v1::Permission) -> Result<Self, super::ConvertError> {
        Ok(match permission {
            v1::Permission::Unspecified => return Err(super::ConvertError::missing("permission")),
            v1::Permission::Public => Self::Public,
            v1::Permission::Myself => Self::Myself,
            v1::Permission::Read => Self::Read,
            v1::Permission::Submit => Self::Submit,
            v1::Permission::Change => Self::Change,
            v1::Permission::Manage => Self::Manage,
            v1::Permission::Admin => Self::Admin,
            v1::Permission::Agent => Self::Agent,
            v1::Permission::ReadOrAgent => Self::ReadOrAgent,
            v1::Permission::Join => Self::Join,
        })
    }
}

/// What the method at this path asks for; `None` if there is no such method.
pub fn permission(path: &str) -> Option<Permission> {
    let (_, number) = PERMISSIONS.iter().find(|(declared, _)| *declared == path)?;
    let declared = v1::Permission::try_from(*number).ok()?;
    Permission::try_from(declared).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_asks_for_something_that_the_core_knows() {
        for (path, _) in PERMISSIONS {
            assert!(permission(path).is_some(), "{path}");
        }
        assert_eq!(permission("/sweep.v1.Sweeps/Drop"), None);
    }
}
